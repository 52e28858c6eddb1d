//! What a piece of memory takes, so that `max_bytes` counts what the process grows by.

/// Larger pieces have pages of their own.
const LARGE: usize = 512 << 10;

/// What an allocation of `bytes` takes: mimalloc's classes, which the binary has. They are 16 bytes apart up to 128, then a quarter of a power of two; other
/// allocators round less.
pub(crate) const fn room(bytes: usize) -> usize {
    let step = match bytes {
        0 => return 0,
        1..=128 => 16,
        129..=LARGE => bytes.next_power_of_two() / 8,
        _ => 4096,
    };
    bytes.next_multiple_of(step)
}

/// The same with the counts of an `Arc` before it.
pub(crate) const fn shared_room(bytes: usize) -> usize {
    room(bytes + 2 * size_of::<usize>())
}

#[cfg(test)]
mod tests {
    use super::room;

    #[test]
    fn an_allocation_takes_the_class_above_it() {
        let cases = [(0, 0), (1, 16), (128, 128), (129, 160), (160, 160), (161, 192), (200, 224), (256, 256), (257, 320), (1024, 1024)];
        for (bytes, taken) in cases {
            assert_eq!(room(bytes), taken, "{bytes}");
        }
        assert_eq!([66 << 10, 129 << 10, 512 << 10, (512 << 10) + 1].map(room), [80 << 10, 160 << 10, 512 << 10, 516 << 10]);
        assert_eq!([1025, 10_240, 10_241, 100_000].map(room), [1280, 10_240, 12_288, 114_688]);
    }
}
