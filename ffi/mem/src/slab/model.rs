//! Every way that threads can interleave, by the model checker:
//! `RUSTFLAGS='--cfg loom' cargo test --release -p hioload-mem --lib model`.
//!
//! It checks the orderings (the bytes of a block count as a variable, see `Access`), finds memory
//! that is freed twice, and memory that is never freed.

use loom::thread;

use super::*;

/// A pool that keeps two blocks of the smallest class in a list.
fn pool() -> SlabPool {
    SlabPool::new(SlabOptions { class_idle_bytes_max: 4 * CLASS_BYTES_MIN })
}

fn block(pool: &mut SlabPool) -> SharedBlock {
    let mut block = pool.take(0, 1);
    block.append(b"x");
    block.freeze()
}

/// The owner drops a block that a reader drops as well, and takes and writes the next.
fn share_and_reuse(before_drop: fn()) {
    loom::model(move || {
        let mut pool = pool();
        let ours = block(&mut pool);
        let theirs = ours.clone();
        let reader = thread::spawn(move || assert_eq!(&*theirs, b"x"));
        assert_eq!(&*ours, b"x");
        before_drop();
        drop(ours);
        // The same block or a new one, depending on who was first.
        drop(block(&mut pool));
        reader.join().unwrap();
        assert_eq!(pool.usage().blocks_out, 0);
    });
}

#[test]
fn a_block_is_written_again_only_after_every_reader_is_done() {
    share_and_reuse(|| ());
}

#[test]
fn a_block_is_written_again_only_after_a_reader_that_was_done_first() {
    // The checker overlooks this order unless it is told of it.
    share_and_reuse(thread::yield_now);
}

#[test]
fn two_threads_give_back_while_the_owner_takes() {
    loom::model(|| {
        let mut pool = pool();
        let threads =
            [block(&mut pool), block(&mut pool)].map(|block| thread::spawn(move || drop(block)));
        drop([block(&mut pool), block(&mut pool)]);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(pool.usage().blocks_out, 0);
    });
}

#[test]
fn a_pool_dies_while_blocks_come_back() {
    loom::model(|| {
        let mut pool = pool();
        let blocks = [block(&mut pool), block(&mut pool)];
        drop(block(&mut pool));
        let threads = blocks.map(|block| thread::spawn(move || drop(block)));
        drop(pool);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}
