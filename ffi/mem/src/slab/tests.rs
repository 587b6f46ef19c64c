//! Stories of blocks that are taken, shared and come back.

use std::alloc::Layout;
use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::*;

const KIB: usize = 1024;

fn pool() -> SlabPool {
    SlabPool::new(SlabOptions::default())
}

fn block_of(pool: &mut SlabPool, bytes: &[u8]) -> UniqueBlock {
    let mut block = pool.take(0, bytes.len());
    assert_eq!(block.append(bytes), bytes.len());
    block
}

#[test]
fn a_block_has_room_for_what_was_asked_and_no_more_than_twice_that() {
    let mut pool = pool();
    for (asked, got) in [
        (0, 128),
        (128, 128),
        (129, 256),
        (4 * KIB, 4 * KIB),
        (64 * KIB, 64 * KIB),
        (64 * KIB + 1, 64 * KIB + 1),
        (300_000, 300_000),
    ] {
        assert_eq!(pool.take(0, asked).capacity(), got, "{asked} bytes");
    }
}

#[test]
fn the_bytes_of_a_block_start_at_a_cache_line() {
    let mut pool = pool();
    for len in [1, 200, 5_000, 100_000] {
        assert_eq!(block_of(&mut pool, &vec![1; len]).as_ptr().addr() % 64, 0, "{len} bytes");
    }
}

#[test]
fn headroom_takes_a_header_that_comes_after_its_payload() {
    let mut block = pool().take(4, 5);
    block.append(b"hello");
    assert!(block.prepend(&[0x81, 5]));
    assert_eq!(block.headroom(), 2);
    assert!(!block.prepend(b"too long"));
    assert_eq!(&*block.freeze(), b"\x81\x05hello");
}

#[test]
fn a_full_block_takes_only_what_fits() {
    let mut block = pool().take(0, 128);
    assert_eq!(block.append(&[7; 100]), 100);
    assert_eq!(block.append(&[8; 100]), 28);
    assert_eq!(block.append_zeros(1), 0);
    assert_eq!(block.len(), 128);
    block.truncate(1);
    assert_eq!(block.append_zeros(2), 2);
    assert_eq!(&*block, &[7, 0, 0]);
}

#[test]
fn a_slice_shares_the_bytes_and_refuses_a_range_outside() {
    let whole = block_of(&mut pool(), b"hello world").freeze();
    let world = whole.slice(6..11).unwrap();
    assert_eq!(world.as_ptr(), whole[6..].as_ptr());
    drop(whole);
    assert_eq!(&*world, b"world");
    assert_eq!(&*world.slice(5..5).unwrap(), b"");
    assert!(world.slice(0..6).is_none());
    #[expect(clippy::reversed_empty_ranges, reason = "that is what must be refused")]
    let reversed = world.slice(3..2);
    assert!(reversed.is_none());
}

#[test]
fn a_block_that_came_back_is_handed_out_again_and_shows_nothing_of_before() {
    let mut pool = pool();
    let first = block_of(&mut pool, b"secret").freeze();
    let place = first.as_ptr();
    let held = pool.usage().bytes_held;
    drop(first);
    let mut second = pool.take(0, 100);
    assert!(second.is_empty());
    second.append_zeros(6);
    assert_eq!((second.as_ptr(), &*second), (place, &[0; 6][..]));
    assert_eq!(pool.usage(), SlabUsage { blocks_out: 1, bytes_held: held });
}

#[test]
fn a_block_dropped_on_another_thread_comes_back() {
    let mut pool = pool();
    let block = block_of(&mut pool, b"over there").freeze();
    let place = block.as_ptr().addr();
    thread::spawn(move || drop(block)).join().unwrap();
    assert_eq!(pool.usage().blocks_out, 0);
    assert_eq!(block_of(&mut pool, b"back").as_ptr().addr(), place);
}

#[test]
fn no_more_than_the_bound_stays_idle() {
    let mut pool = SlabPool::new(SlabOptions { class_idle_bytes_max: 8 * 4 * KIB });
    let mut blocks: Vec<_> = (0..100).map(|_| pool.take(0, 4 * KIB)).collect();
    let one = pool.usage().bytes_held / 100;
    blocks.truncate(50);
    assert_eq!(pool.usage().bytes_held, (50 + 4) * one, "half of the bound came back");
    // Now three are ready to be taken, and of those that come back four more are kept.
    blocks.push(pool.take(0, 4 * KIB));
    drop(blocks);
    assert_eq!(pool.usage(), SlabUsage { blocks_out: 0, bytes_held: (3 + 4) * one });
}

#[test]
fn a_block_of_no_class_counts_and_is_freed_after_use() {
    let mut pool = pool();
    let block = pool.take(10, 16 * KIB * KIB);
    assert_eq!(block.capacity(), 16 * KIB * KIB);
    assert_eq!(pool.usage().blocks_out, 1);
    assert!(pool.usage().bytes_held > 16 * KIB * KIB);
    drop(block.freeze());
    assert_eq!(pool.usage(), SlabUsage { blocks_out: 0, bytes_held: 0 });
}

#[test]
#[should_panic(expected = "a block of 4294967296 bytes is more than 2^32 - 1")]
fn a_block_longer_than_its_lengths_can_say_is_refused() {
    pool().take(1, BLOCK_BYTES_MAX);
}

#[test]
fn blocks_outlive_their_pool_and_the_last_one_takes_all_with_it() {
    let mut pool = pool();
    let idle = block_of(&mut pool, b"idle");
    let first = block_of(&mut pool, b"first").freeze();
    let last = block_of(&mut pool, b"last").freeze();
    let home = Arc::downgrade(&pool.home);
    drop(idle);
    drop(pool);
    drop(first);
    assert_eq!(&*last, b"last");
    assert!(home.upgrade().is_some());
    thread::spawn(move || drop(last)).join().unwrap();
    assert!(home.upgrade().is_none());
}

/// Pieces of 1 KiB from the heap, up to some number.
struct Pieces {
    left: Mutex<usize>,
}

impl Pieces {
    fn of(count: usize) -> Box<Self> {
        Box::new(Self { left: Mutex::new(count) })
    }

    fn layout() -> Layout {
        Layout::from_size_align(KIB, 64).unwrap()
    }

    fn change(&self, by: isize) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.checked_add_signed(by).map(|changed| *left = changed).is_some()
    }
}

// SAFETY: a piece is fresh memory of the system allocator, of this length and alignment.
unsafe impl PieceSource for Pieces {
    fn piece_bytes(&self) -> usize {
        KIB
    }

    fn take(&self) -> Option<NonNull<u8>> {
        // SAFETY: the layout is 1 KiB long.
        self.change(-1).then(|| NonNull::new(unsafe { sync::alloc(Self::layout()) }).unwrap())
    }

    unsafe fn give_back(&self, piece: NonNull<u8>) {
        assert!(self.change(1));
        // SAFETY: it came from `take`, with this layout, and nobody uses it.
        unsafe { sync::dealloc(piece.as_ptr(), Self::layout()) };
    }
}

fn pool_in_pieces(options: SlabOptions) -> SlabPool {
    SlabPool::new(options).with_pieces(Pieces::of(50))
}

#[test]
fn what_fits_lies_in_a_piece_while_there_is_one() {
    let mut pool = SlabPool::new(SlabOptions::default()).with_pieces(Pieces::of(2));
    let room = KIB - 64;
    let small = block_of(&mut pool, b"small");
    let large = block_of(&mut pool, &[1; KIB - 64]);
    assert_eq!((small.capacity(), large.capacity()), (room, room));
    assert_eq!(pool.usage(), SlabUsage { blocks_out: 2, bytes_held: 2 * KIB });
    assert_eq!(block_of(&mut pool, b"none left").capacity(), 128);
    let shared = small.freeze();
    let slice = shared.slice(0..2).unwrap();
    drop(shared);
    assert_eq!(block_of(&mut pool, b"none yet").capacity(), 128);
    thread::spawn(move || assert_eq!(&*slice, b"sm")).join().unwrap();
    assert_eq!(block_of(&mut pool, b"one").capacity(), room);
    assert_eq!(block_of(&mut pool, &vec![1; room + 1]).capacity(), KIB);
    assert_eq!(pool.usage().blocks_out, 1, "the large one");
}

#[test]
fn pieces_outlive_their_pool_and_their_source_lives_as_long() {
    let mut pool = pool_in_pieces(SlabOptions::default());
    let blocks: Vec<_> = (0..60).map(|_| block_of(&mut pool, b"kept").freeze()).collect();
    let home = Arc::downgrade(&pool.home);
    drop(pool);
    assert!(blocks.iter().all(|block| **block == *b"kept"));
    thread::spawn(move || drop(blocks)).join().unwrap();
    assert!(home.upgrade().is_none());
}

/// A generator of the xorshift family: the same seed, the same story.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound).unwrap()
    }
}

/// Bytes that tell which message they are of, at every place.
fn assert_untouched(block: &[u8], scene: &str) {
    let Some(&first) = block.first() else { return };
    assert!(block.iter().all(|byte| *byte == first), "{scene}: a block was written while shared");
}

/// One owner sends blocks to three readers, which keep some for a while and drop them in an order
/// of their own; the pool dies half-way.
fn readers_never_see_a_block_change(new_pool: fn(SlabOptions) -> SlabPool) {
    let messages: u8 = if cfg!(miri) { 50 } else { 250 };
    for seed in 1..=20_u64 {
        let scene = format!("seed {seed}");
        let (senders, readers): (Vec<_>, Vec<_>) = (1..=3)
            .map(|reader| {
                let (sender, receiver) = mpsc::channel::<SharedBlock>();
                let scene = scene.clone();
                let mut random = Random(seed * 1_000 + reader);
                let read = move || {
                    let mut kept = VecDeque::new();
                    for block in receiver {
                        assert_untouched(&block, &scene);
                        kept.push_back(block);
                        while kept.len() > random.below(20) {
                            let at = random.below(kept.len() as u64);
                            let block = kept.swap_remove_back(at).unwrap();
                            assert_untouched(&block.slice(0..block.len() / 2).unwrap(), &scene);
                        }
                    }
                };
                (sender, thread::spawn(read))
            })
            .unzip();

        let mut random = Random(seed);
        let options = SlabOptions { class_idle_bytes_max: random.below(64 * 1024) };
        for _pool in 0..2 {
            let mut pool = new_pool(options);
            for message in 0..messages {
                let mut block = block_of(&mut pool, &vec![!message; random.below(1_000)]);
                block.fill(message);
                let block = block.freeze();
                for sender in &senders {
                    sender.send(block.clone()).unwrap();
                }
                assert_untouched(&block, &scene);
            }
        }
        drop(senders);
        for reader in readers {
            reader.join().unwrap();
        }
    }
}

#[test]
fn readers_on_three_threads_never_see_a_block_change() {
    readers_never_see_a_block_change(SlabPool::new);
}

#[test]
fn readers_on_three_threads_never_see_a_piece_change() {
    readers_never_see_a_block_change(pool_in_pieces);
}

#[test]
#[cfg(not(all(feature = "numa", target_os = "linux")))]
fn a_build_that_knows_of_no_nodes_refuses_a_pool_on_one() {
    let refused = SlabPool::on_node(0, SlabOptions::default()).err().expect("it is refused");
    assert!(refused.to_string().contains("feature \"numa\""), "{refused}");
}

#[cfg(all(feature = "numa", target_os = "linux"))]
mod on_a_node {
    use super::*;
    use crate::numa::node_asked_for;

    /// The first node that this process may use.
    fn node() -> usize {
        numa::nodes().expect("Linux says it")[0]
    }

    fn pool(options: SlabOptions) -> SlabPool {
        SlabPool::on_node(node(), options).expect("it has memory")
    }

    #[test]
    fn a_block_of_every_length_is_asked_of_its_node() {
        let mut pool = pool(SlabOptions::default());
        for len in [1, 128, 129, 1_000, 5_000, 64 * KIB, 64 * KIB + 1, 300_000] {
            let block = block_of(&mut pool, &vec![7; len]).freeze();
            assert_eq!(node_asked_for(&block), Some(node()), "{len} bytes");
            assert_eq!(block.as_ptr().addr() % 64, 0, "{len} bytes");
            let tail = block.slice(len - 1..len).unwrap();
            drop(block);
            assert_eq!(&*tail, [7]);
        }
        let elsewhere = block_of(&mut super::pool(), b"heap");
        assert_eq!(node_asked_for(&elsewhere), None);
    }

    #[test]
    fn a_node_that_there_is_not_is_refused() {
        let refused = SlabPool::on_node(999, SlabOptions::default()).err().expect("refused");
        let NodeError::NoSuchNode { node: 999, nodes } = refused else { panic!("{refused}") };
        assert!(nodes.contains(&node()));
    }

    #[test]
    fn a_block_that_came_back_is_handed_out_again() {
        let mut pool = pool(SlabOptions::default());
        let place = block_of(&mut pool, b"first").freeze().as_ptr();
        assert_eq!(block_of(&mut pool, b"second").as_ptr(), place);
    }

    #[test]
    fn blocks_outlive_their_pool() {
        let mut pool = pool(SlabOptions::default());
        let blocks: Vec<_> = (0..100).map(|_| block_of(&mut pool, &[5; 20_000]).freeze()).collect();
        let home = Arc::downgrade(&pool.home);
        drop(pool);
        thread::spawn(move || assert!(blocks.iter().all(|block| **block == [5; 20_000])))
            .join()
            .unwrap();
        assert!(home.upgrade().is_none());
    }

    #[test]
    fn readers_on_three_threads_never_see_a_block_change() {
        readers_never_see_a_block_change(pool);
    }
}
