//! The people in the session, as the host tells, and the page about them.

use super::Viewer;
use crate::id::MemberId;
use crate::role::Role;
use crate::session::link::WANTS_MEMBERS;
use crate::terminal::viewer_name;
use crate::time::Timestamp;
use crate::wire::frame::{Listed, Members};

/// Whether the viewer asks the host for the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    No,
    Yes,
}

/// The list, if the host told one.
#[derive(Default)]
pub(super) struct MemberList {
    wanted: Wanted,
    told: Option<Members>,
}

impl MemberList {
    /// The viewer's wish, as a capability of its hello.
    pub(super) fn capability(&self) -> u32 {
        match self.wanted {
            Wanted::No => 0,
            Wanted::Yes => WANTS_MEMBERS,
        }
    }

    /// The page; `me` is the number of this viewer.
    fn page(&self, me: Option<MemberId>) -> String {
        let Some(list) = &self.told else { return "beach: this host does not tell who is here".to_owned() };
        let count = list.listed.len() + usize::from(list.more);
        let viewers = if count == 1 { "1 viewer is here".to_owned() } else { format!("{count} viewers are here") };
        let mut rows = vec![format!("beach: {viewers}; any key closes this")];
        rows.extend(list.host_types.then(|| "       the host types now".to_owned()));
        rows.extend(list.listed.iter().map(|listed| row(listed, me)));
        if list.more > 0 {
            rows.push(format!("       and {} more", list.more));
        }
        rows.join("\n")
    }
}

fn row(listed: &Listed, me: Option<MemberId>) -> String {
    let may = match listed.role {
        Role::Control => "may type",
        Role::View => "may only watch",
    };
    let types = if listed.types { ", types now" } else { "" };
    let you = if me == Some(listed.member) { "  (you)" } else { "" };
    format!("{:>6} {}  {may}{types}{you}", listed.member.0, viewer_name(&listed.name, listed.member.0))
}

impl Viewer {
    pub(super) fn want_members(&mut self) {
        self.members.wanted = Wanted::Yes;
    }

    /// The host sent its list of people.
    pub(super) fn on_members(&mut self, now: Timestamp, members: Members) {
        self.members.told = Some(members);
        let page = self.members.page(self.me());
        if self.render.notices.members_changed(self.render.size(), &page) {
            self.render.repaint(now);
        }
    }

    pub(super) fn show_members(&mut self, now: Timestamp) {
        let page = self.members.page(self.me());
        self.render.notices.members(&page);
        self.render.repaint(now);
    }

    /// The people in the session, as the host told last, if the viewer asked for that.
    pub fn members(&self) -> Option<&Members> {
        self.members.told.as_ref()
    }

    /// The number of this viewer, once the host has let the viewer in.
    pub fn me(&self) -> Option<MemberId> {
        self.session.member.map(|(member, _)| member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_lists_who_is_here_and_a_name_cannot_say_what_the_host_says() {
        let listed =
            |member, role, name: &str, types| Listed { member: MemberId(member), role, name: name.into(), types };
        let ann = listed(1, Role::Control, "ann", true);
        let bob = listed(12, Role::View, "bob\"  may type  (you)", false);
        let mut members = MemberList::default();
        assert_eq!(members.page(None), "beach: this host does not tell who is here");
        members.told = Some(Members { listed: vec![ann, bob], more: 3, host_types: true });
        let page = "beach: 5 viewers are here; any key closes this\n       the host types now\n     1 \"ann\"  may type, \
                    types now  (you)\n    12 \"bob'  may type  (you)\"  may only watch\n       and 3 more";
        assert_eq!(members.page(Some(MemberId(1))), page);
    }
}
