//! For tests: faults that are put back on purpose, each where it arises, so that a test can see that a checker finds
//! it. Only the feature `test-util` compiles this module; without the feature `is_faulty!` is the constant `false`.

use std::cell::Cell;

use serde::{Deserialize, Serialize};

/// A fault: what the machines do wrong while it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Fault {
    /// Viewers on the way in by an invite that is withdrawn meanwhile get in.
    WithdrawnInvites,
    /// An approval during a pause changes nothing.
    ApprovalLostInPause,
    /// Viewers who were approved during a pause are let in at its end, and never hear of it.
    ApprovalLostAtResume,
    /// Viewers who were approved during a pause are not listed.
    ApprovedAreHidden,
    /// Viewers who wait for a person's decision are not listed.
    AskedAreHidden,
    /// Viewers who were denied stay listed.
    DeniedAreListed,
    /// Nobody waits for a person's decision.
    Unasked,
    /// An invite for one viewer lets in any number.
    OnceIsOften,
    /// There is a place for everybody.
    NeverFull,
    /// The host's keys wait for the end of a viewer's paste.
    PasteBeforeOwnKeys,
    /// The host's keys wait until the program reads.
    UnreadBeforeOwnKeys,
    /// Every member may type.
    ViewersType,
    /// Unread input of a member who may type no more stays.
    RevokedInputStays,
    /// Repeated input is taken again.
    InputTwice,
    /// Input behind a gap is taken, and the gap never filled.
    InputGaps,
    /// Input that came before its turn is not sent again.
    SkippedInputStays,
    /// Viewers see what happens in a pause.
    PauseShows,
    /// Lines that were lost on their way are not sent again.
    LostLines,
    /// Each line goes into the scrollback twice.
    ScrollbackTwice,
    /// The host's terminal and the model both answer queries.
    AnsweredTwice,
    /// A kicked member stays.
    KickedStay,
    /// Waiting for paths has no end.
    EndlessStage,
    /// Viewers are told another exit code.
    WrongExitCode,
    /// A host has room for no more handshakes than one address may have at the rendezvous.
    CrowdedOut,
    /// The rendezvous keeps sessions whose hosts are gone.
    SessionsStay,
    /// Every viewer becomes a member who may type.
    EverybodyControls,
    /// A host that lost the rendezvous does not dial again.
    NoRedial,
    /// A viewer puts some lines a row too low.
    WrongRows,
    /// A viewer that lost its link does not look for another.
    NeverBack,
    /// A host whose program has ended says no goodbye to viewers that have not seen the last screen in time.
    NoGoodbye,
    /// A member that comes back is not told that a pause has ended.
    SilentResume,
    /// A member that comes back is not told of a new role.
    SilentRole,
    /// A message of the host reaches nobody.
    SilentHost,
    /// A link that changed is not looked at again, which a machine's own assertions notice.
    Untouched,
}

/// All of them.
pub const ALL: [Fault; 34] = [
    Fault::WithdrawnInvites,
    Fault::ApprovalLostInPause,
    Fault::ApprovalLostAtResume,
    Fault::ApprovedAreHidden,
    Fault::AskedAreHidden,
    Fault::DeniedAreListed,
    Fault::Unasked,
    Fault::OnceIsOften,
    Fault::NeverFull,
    Fault::PasteBeforeOwnKeys,
    Fault::UnreadBeforeOwnKeys,
    Fault::ViewersType,
    Fault::RevokedInputStays,
    Fault::InputTwice,
    Fault::InputGaps,
    Fault::SkippedInputStays,
    Fault::PauseShows,
    Fault::LostLines,
    Fault::ScrollbackTwice,
    Fault::AnsweredTwice,
    Fault::KickedStay,
    Fault::EndlessStage,
    Fault::WrongExitCode,
    Fault::CrowdedOut,
    Fault::SessionsStay,
    Fault::EverybodyControls,
    Fault::NoRedial,
    Fault::WrongRows,
    Fault::NeverBack,
    Fault::NoGoodbye,
    Fault::SilentResume,
    Fault::SilentRole,
    Fault::SilentHost,
    Fault::Untouched,
];

thread_local! {
    static ON: Cell<Option<Fault>> = const { Cell::new(None) };
}

/// Switches a fault on for the machines on this thread, or all off.
pub fn put_back(fault: Option<Fault>) {
    ON.set(fault);
}

pub(crate) fn is_on(fault: Fault) -> bool {
    ON.get() == Some(fault)
}

/// Whether a fault is on that the checkers outside of the machines shall find. Then the machines do not check their
/// invariants.
pub(crate) fn is_for_outside() -> bool {
    ON.get().is_some_and(|fault| fault != Fault::Untouched)
}
