//! Sorting in little code.
//!
//! The standard library's sort is fast on long slices, and takes 3 KiB of code for each element type. Slices here are
//! sorted once at boot, and are short unless a device tree is odd. Heapsort takes a tenth of that code, and is never
//! quadratic.

/// Sorts `items` in place by `key`, in ascending order. Elements with equal keys are left in any order.
pub fn by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    // Already in order is how trees and lists usually come.
    if items.is_sorted_by_key(&key) {
        return;
    }
    // A heap: no element is above its parent, which is at half its index.
    for root in (0..items.len() / 2).rev() {
        sink(items, root, &key);
    }
    // Its first element is the highest: it goes to the end, and the heap ends before it.
    for end in (1..items.len()).rev() {
        items.swap(0, end);
        sink(&mut items[..end], 0, &key);
    }
}

/// Makes a heap of what `root` is above of: both parts below it are heaps.
fn sink<T, K: Ord>(heap: &mut [T], mut root: usize, key: &impl Fn(&T) -> K) {
    loop {
        let left = 2 * root + 1;
        let Some(mut child) = heap.get(left).map(|_| left) else { return };
        if heap.get(left + 1).is_some_and(|right| key(right) > key(&heap[left])) {
            child = left + 1;
        }
        if key(&heap[root]) >= key(&heap[child]) {
            return;
        }
        heap.swap(root, child);
        root = child;
    }
}

#[cfg(test)]
mod tests {
    use super::by_key;
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use std::vec::Vec;

    proptest! {
        #[test]
        fn it_agrees_with_the_standard_library(mut items in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..200)) {
            let mut expected = items.clone();
            expected.sort_unstable();
            by_key(&mut items, |item| *item);
            prop_assert_eq!(&items, &expected);
            by_key(&mut items, |(first, second)| (u8::MAX - first, *second));
            let keys: Vec<u8> = items.iter().map(|(first, _)| *first).collect();
            prop_assert_eq!(keys.is_sorted_by(|a, b| a >= b), true);
        }
    }
}
