# perl capture.pl FILE: writes every packet on every interface to a pcap file. tcpdump does not work in a user namespace: as root tcpdump
# changes to another user, and the namespace has only one user. Every Debian has perl. The numbers below are AF_PACKET, SOCK_RAW, ETH_P_ALL
# in network byte order, SOL_SOCKET, and SO_RCVBUF.
use IO::Handle;
socket(my $wire, 17, 3, 0x0300) or die "no socket: $!";
setsockopt($wire, 1, 8, pack("i", 1 << 26));
open(my $file, ">", $ARGV[0]) or die "$ARGV[0]: $!";
$file->autoflush(1);
print $file pack("LSSlLLL", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1);
print STDERR "listening on all interfaces\n";
while (defined(recv($wire, my $packet, 65535, 0))) {
    print $file pack("LLLL", time, 0, length $packet, length $packet), $packet;
}
