//! Images that are brought to a controller: in pieces to one place of its, from which a commit then takes them (Base 2.0, 5.11, 5.12).
//!
//! What must hold: the controller has one such place, so one image is under way at a time; a second one is refused. A controller that is reset
//! forgets what it has of an image: then the rest is not sent, and nothing committed. An image for a boot partition is copied when it is
//! given, and goes its way while the Admin Queue is polled.

use super::{Controller, CopiedData, Error, task::Queue};
use spec::{
    Command, Completion, Status,
    firmware::{self, BootPartition, CommitAction},
};
use std::rc::{Rc, Weak};

/// What a controller has of an image.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Image {
    /// None is under way.
    None,
    /// All that was sent of the one that is.
    Kept,
    /// Nothing of it: the controller was reset meanwhile.
    Lost,
}

/// The one image that is under way. It is so no more when this is dropped.
struct Turn(Weak<Controller>);

impl Turn {
    /// Sends a command of the image, and waits for its end.
    async fn run(&self, queue: &Queue, command: Command, data: CopiedData<'_>) -> Result<Completion, Error> {
        queue.run(command, data, |controller| controller.keeps_image()).await
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(controller) = self.0.upgrade() {
            controller.end_image();
        }
    }
}

impl Controller {
    /// From now on an image is brought to the controller, until [`Controller::end_image`].
    pub fn begin_image(&self) -> Result<(), Error> {
        if self.image.get() != Image::None {
            return Err(Error::ImageUnderWay);
        }
        self.image.set(Image::Kept);
        Ok(())
    }

    /// Whether the controller still has what was sent of the image: to be asked before more of it is sent, or it is committed.
    pub fn keeps_image(&self) -> Result<(), Error> {
        if self.image.get() == Image::Lost { Err(Error::ImageLost) } else { Ok(()) }
    }

    /// No image is brought to the controller any more.
    pub fn end_image(&self) {
        self.image.set(Image::None);
    }

    /// The controller is enabled anew.
    pub(super) fn lose_image(&self) {
        if self.image.get() == Image::Kept {
            self.image.set(Image::Lost);
        }
    }

    /// Bytes of the pieces in which an image is downloaded.
    pub fn image_piece(&self) -> u32 {
        let summary = self.summary();
        let page = 4096_u32.checked_shl(summary.capabilities().mpsmin().into()).unwrap_or(4096);
        firmware::piece(summary.view().fwug(), page, summary.largest_transfer())
    }

    /// Begins to write an image, of a number of bytes that is a multiple of 4, to a boot partition, which then is the active one. `told`
    /// hears of the end, from a poll of the Admin Queue: with the completion of the last command, or of the one that failed, or the error that
    /// kept one from being sent. An error says that nothing was begun: then it is not called.
    pub fn write_boot_partition(
        self: &Rc<Self>,
        image: &[u8],
        partition: BootPartition,
        told: impl FnOnce(Result<Completion, Error>) + 'static,
    ) -> Result<(), Error> {
        self.ready_for_program()?;
        if !self.capabilities().bps() {
            return Err(Error::NotSupported("a boot partition"));
        }
        if image.is_empty() || !image.len().is_multiple_of(4) || u32::try_from(image.len()).is_err() {
            let text = format!("an image of {} bytes, where whole dwords are written", image.len());
            return Err(Error::InvalidArgument(text));
        }
        let mut copy = Vec::new();
        copy.try_reserve_exact(image.len()).map_err(|_| Error::NoMemory)?;
        copy.extend_from_slice(image);
        self.begin_image()?;
        let turn = Turn(Rc::downgrade(self));
        let queue = Queue::of(self);
        let piece = self.image_piece();
        // An image is not empty, so that there is a first piece.
        let (begin, data) = pieces(&copy, piece).next().unwrap_or_default();
        let first = queue.send_with(download(begin, data), CopiedData::Given(data))?;
        self.tasks().begin(async move {
            let ended = async {
                let mut last = first.answer().await.completion;
                let rest = pieces(&copy, piece).skip(1);
                for (begin, data) in rest {
                    if !last.is_success() {
                        return Ok(last);
                    }
                    last = turn.run(&queue, download(begin, data), CopiedData::Given(data)).await?;
                }
                for action in [CommitAction::ReplaceBootPartition, CommitAction::ActivateBootPartition] {
                    if !last.is_success() {
                        return Ok(last);
                    }
                    let commit = Command::commit_boot_partition(action, partition);
                    last = turn.run(&queue, commit, CopiedData::None).await?;
                }
                Ok(last)
            };
            let ended = ended.await;
            // Whoever is told may write the next one.
            drop(turn);
            told(ended);
        });
        Ok(())
    }
}

/// The pieces of an image, each with the byte at which it begins.
fn pieces(image: &[u8], piece: u32) -> impl Iterator<Item = (u32, &[u8])> {
    // The image has fewer bytes than 2^32.
    image.chunks(piece.max(4) as usize).scan(0_u32, |next, data| {
        let begin = *next;
        *next = begin.saturating_add(data.len() as u32);
        Some((begin, data))
    })
}

fn download(begin: u32, data: &[u8]) -> Command {
    Command::firmware_image_download(begin, data.len() as u32) // a piece of fewer bytes than 2^32
}

/// What a program is told of a command that could not be sent: it was an error of the host's.
pub fn unsent() -> Completion {
    Completion::new(0, 0, Status::INTERNAL_ERROR)
}
