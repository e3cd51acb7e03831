# A slow link between two network namespaces: perl link.pl ONE OTHER DELAY. In each namespace it is the device tun0. Every packet takes
# DELAY milliseconds, and keeps its place in the order. A number on stdin is how many of a hundred are lost from then on, each way.
use strict;
use warnings;
use Fcntl qw(O_NONBLOCK O_RDWR);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

my ($one, $other, $delay) = @ARGV;
$delay /= 1000;
my ($tunsetiff, $tun_without_head) = (0x400454ca, 0x1001);
my $lost = 0;
srand 1;

sub device {
    my ($namespace) = @_;
    my $name = "bl$$";
    sysopen my $file, '/dev/net/tun', O_RDWR | O_NONBLOCK or die "/dev/net/tun: $!\n";
    ioctl $file, $tunsetiff, pack 'Z16 s x22', $name, $tun_without_head or die "a TUN device: $!\n";
    system('ip', 'link', 'set', $name, 'netns', $namespace, 'name', 'tun0') == 0 or die "no namespace $namespace\n";
    return $file;
}

my @ends = (device($one), device($other));
my @waiting = ([], []);
$| = 1;
print "ready\n";

while (1) {
    my $now = clock_gettime(CLOCK_MONOTONIC);
    my $next;
    for my $to (0, 1) {
        my $queue = $waiting[$to];
        syswrite $ends[$to], (shift @$queue)->[1] while @$queue && $queue->[0][0] <= $now;
        $next = $queue->[0][0] if @$queue && (!defined $next || $queue->[0][0] < $next);
    }
    my $ready = '';
    vec($ready, fileno $_, 1) = 1 for @ends, *STDIN;
    select $ready, undef, undef, defined $next ? $next - $now : undef;
    $now = clock_gettime(CLOCK_MONOTONIC);
    for my $from (0, 1) {
        while (sysread $ends[$from], my $packet, 65536) {
            push @{ $waiting[1 - $from] }, [$now + $delay, $packet] if 100 * rand() >= $lost;
        }
    }
    if (vec $ready, fileno STDIN, 1) {
        sysread STDIN, my $line, 64 or exit;
        $lost = $1 if $line =~ /(\d+)\s*\z/;
    }
}
