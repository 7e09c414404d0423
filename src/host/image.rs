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
        if self.image.get().is_some() {
            return Err(Error::ImageUnderWay);
        }
        self.image.set(Some(self.association()));
        Ok(())
    }

    /// Whether the controller still has what was sent of the image: to be asked before more of it is sent, or it is committed.
    pub fn keeps_image(&self) -> Result<(), Error> {
        if self.image.get() == Some(self.association()) { Ok(()) } else { Err(Error::ImageLost) }
    }

    /// No image is brought to the controller any more.
    pub fn end_image(&self) {
        self.image.set(None);
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
        let size = u32::try_from(image.len()).ok().filter(|size| *size > 0 && size.is_multiple_of(4));
        let size = size.ok_or_else(|| {
            let text = format!("an image of {} bytes, where whole dwords are written", image.len());
            Error::InvalidArgument(text)
        })?;
        let mut copy = Vec::new();
        copy.try_reserve_exact(image.len()).map_err(|_| Error::NoMemory)?;
        copy.extend_from_slice(image);
        self.begin_image()?;
        let turn = Turn(Rc::downgrade(self));
        let queue = Queue::of(self);
        let mut rest = pieces(size, self.image_piece());
        let download = |(begin, length)| Command::firmware_image_download(begin, length);
        let first = rest.next().ok_or(Error::Internal("an image without a first piece"))?;
        let first = queue.send_with(download(first), part(&copy, first))?;
        self.tasks().begin(async move {
            let ended = async {
                let mut last = first.answer().await.completion;
                for piece in rest {
                    if !last.is_success() {
                        return Ok(last);
                    }
                    last = turn.run(&queue, download(piece), part(&copy, piece)).await?;
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

/// The pieces of an image of so many bytes: where each begins, and its length.
pub fn pieces(size: u32, piece: u32) -> impl Iterator<Item = (u32, u32)> {
    let piece = piece.max(4);
    (0..size).step_by(piece as usize).map(move |begin| (begin, piece.min(size.saturating_sub(begin))))
}

/// A piece of an image.
fn part(image: &[u8], (begin, length): (u32, u32)) -> CopiedData<'_> {
    let part = image.get(begin as usize..).and_then(|rest| rest.get(..length as usize));
    CopiedData::Given(part.unwrap_or_default())
}

/// What a program is told of a command that could not be sent: it was an error of the host's.
pub fn unsent() -> Completion {
    Completion::new(0, 0, Status::INTERNAL_ERROR)
}
