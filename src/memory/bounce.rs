//! Registered memory of our own, through which data go whose buffer is not registered.
//!
//! A pool belongs to the connection of one queue pair, and gives each request a buffer of its own, registered for the one right that the
//! request needs: what its key opens is never another controller's data, and never more than one buffer. Buffers are made when they are
//! needed, kept for the next request, and bounded in number and bytes, those that are kept included.
//!
//! What must hold: a buffer is lent to one request, which gives it back when the device can no longer touch it. With the pool's end
//! each goes as it comes back; where a device may go on using them, all that is lent is kept for good.

use std::{cell::Cell, rc::Rc, sync::Arc};
use verbs::{Access, Error, Memory, ProtectionDomain, RegisteredMemory};

/// Buffers of a pool.
const MOST: usize = 64;
/// Their bytes in all, and those of the longest one.
const BYTES: usize = 16 << 20;
/// Bytes of the smallest one.
const SMALLEST: usize = 4096;

/// Why there is no buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Requests that are on their way have them: ask again when one has ended.
    InUse,
    /// So many bytes are more than a pool may have.
    TooLong,
    /// The memory was refused.
    Refused(Error),
}

/// The buffers of one connection.
pub struct Pool {
    domain: Arc<ProtectionDomain>,
    free: Cell<Vec<Buffer>>,
    /// Buffers that there are, free and lent, and their bytes.
    count: Cell<usize>,
    bytes: Cell<usize>,
    lent: Cell<usize>,
    end: Cell<End>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    NotYet,
    /// The connection was released.
    Closed,
    /// The connection is kept for good.
    Spoiled,
}

struct Buffer {
    memory: RegisteredMemory,
    access: Access,
}

/// A buffer that a request has.
pub struct Lent {
    pool: Rc<Pool>,
    /// Taken when it is given back.
    buffer: Option<Buffer>,
}

impl Pool {
    /// A pool with nothing in it.
    pub fn new(domain: &Arc<ProtectionDomain>) -> Rc<Self> {
        Rc::new(Self {
            domain: domain.clone(),
            free: Cell::default(),
            count: Cell::new(0),
            bytes: Cell::new(0),
            lent: Cell::new(0),
            end: Cell::new(End::NotYet),
        })
    }

    /// Lends a buffer of at least `length` bytes with this access. What an earlier request left is in it.
    pub fn lend(self: &Rc<Self>, length: usize, access: Access) -> Result<Lent, Lack> {
        let size = length
            .max(SMALLEST)
            .checked_next_power_of_two()
            .filter(|size| *size <= BYTES)
            .ok_or(Lack::TooLong)?;
        let mut free = self.free.take();
        let fits = |buffer: &Buffer| buffer.access == access && buffer.memory.length() == size;
        let found = match free.iter().position(fits) {
            Some(place) => Ok(free.swap_remove(place)),
            None => self.make(&mut free, size, access),
        };
        self.free.set(free);
        let buffer = found?;
        self.lent.set(self.lent.get() + 1);
        Ok(Lent { pool: self.clone(), buffer: Some(buffer) })
    }

    /// Another buffer, in the place of those that are free where that must be.
    fn make(&self, free: &mut Vec<Buffer>, size: usize, access: Access) -> Result<Buffer, Lack> {
        let has_room = || self.count.get() < MOST && self.bytes.get().saturating_add(size) <= BYTES;
        while !has_room() {
            match free.pop() {
                Some(buffer) => self.let_go(buffer),
                None => return Err(Lack::InUse),
            }
        }
        // Room for each buffer to come back, so that it needs no memory.
        let room = free.try_reserve(self.count.get() + 1).map_err(|_| libc::ENOMEM);
        let made = room.map_err(|errno| Error { call: "allocation of a buffer's place", errno });
        match made.and_then(|()| RegisteredMemory::new(&self.domain, size, access)) {
            Ok(memory) => {
                self.count.set(self.count.get() + 1);
                self.bytes.set(self.bytes.get() + size);
                Ok(Buffer { memory, access })
            }
            // What others give back may be enough.
            Err(_) if self.lent.get() > 0 => Err(Lack::InUse),
            Err(error) => Err(Lack::Refused(error)),
        }
    }

    fn let_go(&self, buffer: Buffer) {
        self.count.set(self.count.get().saturating_sub(1));
        self.bytes.set(self.bytes.get().saturating_sub(buffer.memory.length()));
        drop(buffer);
    }

    /// The connection was released: no device has any buffer.
    pub fn close(&self) {
        self.end.set(End::Closed);
        drop(self.free.take());
    }

    /// The connection is kept for good: what is lent, a device may use for ever.
    pub fn spoil(&self) {
        self.end.set(End::Spoiled);
        std::mem::forget(self.free.take());
    }
}

impl Lent {
    /// Its memory.
    pub fn memory(&self) -> Option<&Memory> {
        self.buffer.as_ref().map(|buffer| &*buffer.memory)
    }

    /// The keys of its memory: for local work requests, and for the controller.
    pub fn keys(&self) -> Option<(u32, u32)> {
        self.buffer.as_ref().map(|buffer| (buffer.memory.local_key(), buffer.memory.remote_key()))
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        let Self { pool, .. } = self;
        pool.lent.set(pool.lent.get().saturating_sub(1));
        match pool.end.get() {
            End::NotYet => {
                let mut free = pool.free.take();
                free.push(buffer);
                pool.free.set(free);
            }
            End::Closed => pool.let_go(buffer),
            End::Spoiled => std::mem::forget(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Rc<Pool> {
        let devices = verbs::DeviceList::open().unwrap();
        Pool::new(&ProtectionDomain::new(devices.devices().first().unwrap()).unwrap())
    }

    fn lend(pool: &Rc<Pool>, length: usize) -> Result<Lent, Lack> {
        pool.lend(length, Access::RemoteWrite)
    }

    fn at(lent: &Lent) -> u64 {
        lent.memory().unwrap().address()
    }

    #[test]
    fn there_are_so_many_buffers_and_bytes_and_no_more() {
        let pool = pool();
        let mut lent: Vec<_> = (0..MOST).map(|_| lend(&pool, 1).unwrap()).collect();
        assert_eq!(lend(&pool, 1).err(), Some(Lack::InUse));
        let gone = at(&lent.remove(7));
        lent.push(lend(&pool, SMALLEST).unwrap());
        assert_eq!(at(lent.last().unwrap()), gone, "a buffer that came back is used again");
        assert_eq!(
            (lend(&pool, BYTES).err(), lend(&pool, BYTES + 1).err()),
            (Some(Lack::InUse), Some(Lack::TooLong))
        );
        assert_eq!(lend(&pool, usize::MAX).err(), Some(Lack::TooLong));
        lent.clear();
        assert_eq!((pool.count.get(), pool.bytes.get()), (MOST, MOST * SMALLEST));
        let whole = lend(&pool, BYTES).unwrap();
        assert_eq!((pool.count.get(), pool.bytes.get()), (1, BYTES), "small ones made room");
        assert_eq!(lend(&pool, 1).err(), Some(Lack::InUse));
        drop(whole);
        assert!(lend(&pool, 1).is_ok());
    }

    /// A key that was given for reading is not one for writing.
    #[test]
    fn a_buffer_keeps_its_right_and_its_length() {
        let pool = pool();
        let first = at(&lend(&pool, 5000).unwrap());
        let read = pool.lend(5000, Access::RemoteRead).unwrap();
        assert_ne!(at(&read), first);
        assert_eq!(read.memory().unwrap().length(), 8192);
        let small = lend(&pool, 4000).unwrap();
        assert!(at(&small) != first && small.memory().unwrap().length() == 4096);
        assert_eq!(at(&lend(&pool, 8192).unwrap()), first);
    }

    #[test]
    fn with_the_pool_its_buffers_go() {
        let pool = pool();
        let lent = lend(&pool, 1).unwrap();
        drop(lend(&pool, 1));
        assert_eq!(pool.count.get(), 2);
        pool.close();
        drop(lent);
        assert!(pool.free.take().is_empty(), "it came back to a pool that is closed");
        assert_eq!((pool.lent.get(), Rc::strong_count(&pool)), (0, 1));
    }
}
