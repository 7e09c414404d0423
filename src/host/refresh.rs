//! Reading the namespaces again, and how they are reached: when the controller says that they changed, and after the program has
//! changed them.
//!
//! What must hold: namespaces are refreshed before the program hears of the event; one that cannot be read is inactive, and keeps nobody
//! from hearing; a controller that says so for ever costs one reading at a time, paced by the program's polls.

use super::{
    Controller, Error,
    access::access,
    bring_up::{self, Changed},
    budget::{BRING_UP_COMMANDS, BRING_UP_TIMEOUT, Budget},
    events::Concerns,
    work::{Work, drive},
};
use crate::clock;
use spec::{
    Command,
    log::{CHANGED_NAMESPACES_SIZE, LogPageId},
    namespace::namespace_list,
};

/// The list's first entry where more than 1,024 namespaces changed (Base 2.0, 5.16.1.5).
const OVERFLOW: u32 = u32::MAX;

impl Controller {
    /// Begins to read again what events concern. The end is told to the events that wait for it.
    pub(super) fn begin_refresh(&self, concerns: Concerns) {
        let (controller, summary, old) = (self.me(), self.summary(), self.namespaces().listing());
        if summary.is_discovery() || !concerns.namespaces && !summary.has_access_log() {
            return self.events.refreshed(None); // there is nothing of it
        }
        let tells = self.events.may_tell();
        let work = self.refreshing();
        let reads_log = self.events.reads_changed_list();
        self.tasks.begin(async move {
            let complain = |what: &str, error: &Error| {
                if tells {
                    let label = work.admin().qpair().label();
                    tracing::error!("{label}: {what} could not be read: {error}");
                } else {
                    tracing::debug!("{what} could not be read: {error}");
                }
            };
            let changed = if concerns.namespaces && reads_log { changed(&work).await } else { None };
            if concerns.namespaces {
                let which = changed.as_deref().map_or(Changed::All, Changed::These);
                let listing = bring_up::namespaces(&work, &summary, &old, which, tells).await;
                let Some(controller) = controller.upgrade() else { return };
                match listing {
                    Ok(listing) => controller.namespaces().renew(listing),
                    Err(error) => complain("the namespaces that changed", &error),
                }
            }
            // A namespace that came is in a group, too. What is known stays if it cannot be read.
            let Some(listing) = controller.upgrade().map(|controller| controller.namespaces().listing())
            else {
                return;
            };
            let access = access(&work, &summary, &listing, !concerns.access, tells).await;
            let Some(controller) = controller.upgrade() else { return };
            match access {
                Ok(access) => controller.namespaces().renew_access(access),
                Err(error) => complain("how namespaces are reached", &error),
            }
            controller.events.refreshed(changed);
        });
    }

    /// Reads the namespaces again, and waits for that: these anew, and of the others those that were not there.
    pub fn reread_namespaces(&self, changed: &[u32]) -> Result<(), Error> {
        let (summary, old) = (self.summary(), self.namespaces().listing());
        let work = self.refreshing();
        let namespaces = async {
            let listing = bring_up::namespaces(&work, &summary, &old, Changed::These(changed), true).await?;
            let access = access(&work, &summary, &listing, true, true).await;
            Ok((listing, access))
        };
        // The budget ends it; this is for a fault in that.
        let deadline = clock::now().after(BRING_UP_TIMEOUT * 2);
        let found = drive(&self.admin, deadline, namespaces);
        let (listing, access) = found.unwrap_or(Err(Error::TimedOut("reading the namespaces")))?;
        self.namespaces().renew(listing);
        self.namespaces().renew_access(access?);
        Ok(())
    }

    fn refreshing(&self) -> Work {
        let budget = Budget::new("reading the namespaces", clock::now(), BRING_UP_TIMEOUT, BRING_UP_COMMANDS);
        Work::tolerant(&self.admin, budget)
    }
}

/// The namespaces that the controller lists as changed, which arms the event anew. None if it does not say.
async fn changed(work: &Work) -> Option<Vec<u32>> {
    let length = CHANGED_NAMESPACES_SIZE as u32;
    let command = Command::get_log_page(LogPageId::CHANGED_NAMESPACES, u32::MAX, 0, length);
    let page = work.read_page("Get Log Page (changed namespaces)", command).await.ok()?;
    let ids: Vec<u32> = namespace_list(&page).collect();
    (ids.first() != Some(&OVERFLOW)).then_some(ids)
}
