//! Uses what most libraries use: memory, threads, files, formatted text, and panics that are caught.

use std::collections::HashMap;
use std::panic::catch_unwind;

/// How many files a directory has, counted by threads; -1 if that fails.
#[unsafe(no_mangle)]
pub extern "C" fn other_count(threads: u32) -> i64 {
    let counted = catch_unwind(|| {
        let workers: Vec<_> = (0..threads)
            .map(|i| std::thread::spawn(move || (i, std::fs::read_dir(format!("/{i}")))))
            .collect();
        let found: HashMap<u32, usize> = workers
            .into_iter()
            .map(|worker| worker.join().expect("it does not panic"))
            .map(|(i, entries)| (i, entries.map_or(0, Iterator::count)))
            .collect();
        found.values().sum::<usize>()
    });
    counted.map_or(-1, |count| i64::try_from(count).unwrap_or(-1))
}
