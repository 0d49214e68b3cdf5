//! The context that every computation receives.
//!
//! # Soundness
//!
//! A [`Runner`] is safe to write, so nothing is taken on its word: lanes are claimed one by one, each once, whatever it
//! calls how often; the number of threads is asked once, since lanes' memory is cut by it; tasks that it leaves out are
//! done by the caller, who returns when all lanes have. A runner that swallows a panic leaves tasks undone. Their
//! outputs keep what they held, which is never memory that was not initialised.
//!
//! The list of idle workspaces is behind a lock that is held to push and to pop.
//!
//! Tests: `cx::a_careless_runner_breaks_nothing`, `cx::parallel_for_runs_every_task_once`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicUsize, Ordering};

use super::float_env::FloatEnv;
use super::fork_lock::ForkLock;
use super::limits::Limits;
use super::monitor::Monitor;
#[cfg(feature = "std")]
use super::profile::Profile;
use super::scratch::{ScratchReq, Workspace};
use super::shared::SharedMut;
use super::watch::{Attached, Watch};
use crate::error::{Result, err};
use crate::setters::setters;
use crate::simd::{AmxState, Caches, Extensions, Level};

/// Runs lanes of work, concurrently if it can. A host application may supply its own.
pub trait Runner: Send + Sync {
    /// How many lanes can run at the same time; at least 1.
    fn threads(&self) -> usize;

    /// Calls `lane(0)`, …, `lane(lanes - 1)`, each once, in any order and on any threads, and returns when all
    /// have returned. What it leaves out is done on the calling thread.
    fn run(&self, lanes: usize, lane: &(dyn Fn(usize) + Sync));

    /// Calls `work` once. A pool may do so on one of its own threads, so that the many short
    /// [`run`](Runner::run)s of a model need not wake it from outside each time.
    fn enter(&self, work: &mut (dyn FnMut() + Send)) {
        work();
    }
}

/// How to make a [`Cx`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct CxOptions {
    /// Threads; 0 means one per core that this process may use.
    pub threads: usize,
    /// Instruction set; `None` means the best of this CPU.
    pub level: Option<Level>,
    /// Uses AMX for weights in bf16 and int8 where the CPU has it. Not by default: on Linux it takes a request for the whole
    /// process, after which small alternate signal stacks are refused, and that is for the application to decide.
    /// [`Cx::amx`] tells what became of it.
    pub amx: bool,
    /// What it, and what is made with it, may be asked for.
    pub limits: Limits,
}

impl CxOptions {
    setters! {
        with_threads(threads: usize),
        with_level(level: impl Into<Option<Level>>),
        with_amx(amx: bool),
        with_limits(limits: Limits),
    }
}

/// Most threads a context accepts.
const MAX_THREADS: usize = 1024;

/// The execution context: an instruction set, threads and reusable scratch memory.
///
/// Cheap to clone; clones share the threads, which are joined when the last clone is dropped. Nothing here is
/// global.
#[derive(Clone)]
pub struct Cx {
    level: Level,
    extensions: Extensions,
    amx: AmxState,
    caches: Caches,
    limits: Limits,
    runner: Option<Arc<dyn Runner>>,
    /// What the runner said when it came: lanes' memory is cut by it, so that it must not change.
    threads: usize,
    workspaces: Arc<WorkspaceCache>,
    /// Set for the length of [`watched`](Self::watched), in the context that its work is given.
    watch: Attached,
    #[cfg(feature = "std")]
    profile: Option<Arc<Profile>>,
}

impl Cx {
    /// Makes a context.
    ///
    /// # Errors
    /// `InvalidArgument` for more than 1024 threads, `Unsupported` for more than one thread without the feature
    /// `parallel`, `OutOfMemory` if the operating system refuses the threads.
    pub fn new(options: &CxOptions) -> Result<Self> {
        let threads = if options.threads == 0 { default_threads() } else { options.threads };
        if threads > MAX_THREADS {
            return Err(err!(InvalidArgument, "{threads} threads requested (limit {MAX_THREADS})"));
        }
        let level = options.level.unwrap_or_else(Level::detect);
        let runner: Option<Arc<dyn Runner>> = match threads {
            1 => None,
            #[cfg(feature = "parallel")]
            _ => Some(Arc::new(super::pool::RayonPool::new(threads)?)),
            #[cfg(not(feature = "parallel"))]
            _ => return Err(err!(Unsupported, "{threads} threads need the feature `parallel`")),
        };
        let cx = Self { runner, threads, limits: options.limits, ..Self::serial(level) };
        Ok(if options.amx { cx.with_amx() } else { cx })
    }

    /// A context on the calling thread alone.
    pub fn serial(level: Level) -> Self {
        Self {
            level,
            extensions: Extensions::detect(),
            amx: AmxState::NotAsked,
            caches: Caches::detect(),
            limits: Limits::default(),
            runner: None,
            threads: 1,
            workspaces: Arc::default(),
            watch: Attached::NONE,
            #[cfg(feature = "std")]
            profile: None,
        }
    }

    /// A context whose lanes are run by the host application. It is asked for its threads once, here.
    pub fn with_runner(level: Level, runner: Arc<dyn Runner>) -> Self {
        let threads = runner.threads().max(1);
        Self { runner: Some(runner), threads, ..Self::serial(level) }
    }

    /// The instruction set.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Instructions beyond the level that weights in formats other than f32 are multiplied with.
    pub fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// Asks for AMX, as [`CxOptions::amx`] does.
    #[must_use]
    pub fn with_amx(self) -> Self {
        let (extensions, amx) = self.extensions.with_amx();
        Self { extensions, amx, ..self }
    }

    /// Whether AMX is used.
    pub fn amx(&self) -> AmxState {
        self.amx
    }

    /// Multiplies weights in other formats than f32 with these instructions and those of the level alone.
    #[must_use]
    pub fn with_extensions(self, extensions: Extensions) -> Self {
        Self { extensions, ..self }
    }

    /// The caches of a core, by which kernels choose the sizes of blocks. Results do not depend on them.
    pub fn caches(&self) -> &Caches {
        &self.caches
    }

    /// Chooses the sizes of blocks for a CPU with such caches.
    #[must_use]
    pub fn with_caches(self, caches: Caches) -> Self {
        Self { caches, ..self }
    }

    /// What it, and what is made with it, may be asked for.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sets the [`limits`](Self::limits) of this context and its later clones.
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Collects in `profile` what the kernels of a pass do. One caller at a time.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn with_profile(self, profile: Arc<Profile>) -> Self {
        Self { profile: Some(profile), ..self }
    }

    /// Where the kernels of a pass are collected, if they are.
    #[cfg(feature = "std")]
    pub(super) fn profile(&self) -> Option<&Profile> {
        self.profile.as_deref()
    }

    /// How many lanes run at the same time.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `work(lane, task)` once for every `task` in `0..tasks`.
    ///
    /// `lane < self.threads()`, and no two calls with the same lane run at the same time, so that a lane can own
    /// memory ([`parallel_for_with`](Cx::parallel_for_with)). Which lane gets which task varies from run to run: results must not depend on it.
    ///
    /// In a call that a `Monitor` watches, lanes ask between tasks whether to go on, and leave out what is left if not:
    /// no memory may count as initialised, nor an index as in bounds, because a task was to write it.
    pub fn parallel_for(&self, tasks: usize, work: impl Fn(usize, usize) + Sync) {
        match &self.runner {
            Some(runner) if tasks > 1 => {
                // Lanes are claimed, not taken from the runner: one that calls a lane twice would have two threads in the
                // same piece of memory, and one that leaves a lane out would leave tasks undone.
                let (lanes, claimed, next) =
                    (self.threads().min(tasks), AtomicUsize::new(0), AtomicUsize::new(0));
                // Each lane counts one task too many at its end: that must not lead back to the first.
                assert!(tasks.checked_add(lanes).is_some(), "{tasks} tasks");
                let run_lane = || {
                    let claim = |lane| (lane < lanes).then_some(lane + 1);
                    let Ok(lane) = claimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim) else {
                        return;
                    };
                    let _env = FloatEnv::enter();
                    loop {
                        let task = next.fetch_add(1, Ordering::Relaxed);
                        if task >= tasks || !self.goes_on() {
                            break;
                        }
                        work(lane, task);
                    }
                };
                runner.run(lanes, &|_| run_lane());
                while claimed.load(Ordering::Relaxed) < lanes {
                    run_lane();
                }
            }
            _ => {
                let _env = FloatEnv::enter();
                (0..tasks).take_while(|_| self.goes_on()).for_each(|task| work(0, task));
            }
        }
    }

    /// Calls `work` once for every one of `items`, with the state of the lane that it runs in. Which lane gets which
    /// item varies from run to run.
    ///
    /// # Panics
    /// If there are fewer `lanes` than threads.
    pub fn for_each<L: Send, T: Send>(
        &self,
        lanes: &mut [L],
        items: &mut [T],
        work: impl Fn(&mut L, &mut T) + Sync,
    ) {
        assert!(lanes.len() >= self.threads(), "{} lanes for {} threads", lanes.len(), self.threads());
        let (lanes, items) = (SharedMut::new(lanes), SharedMut::new(items));
        self.parallel_for(items.len(), |lane, item| {
            // SAFETY: a lane runs one task at a time.
            let lane = unsafe { lanes.range(lane..lane + 1) };
            // SAFETY: every item is the task of its own number only.
            let item = unsafe { items.range(item..item + 1) };
            work(&mut lane[0], &mut item[0]);
        });
    }

    /// Calls `work` where following calls of [`parallel_for`](Cx::parallel_for) start fastest.
    ///
    /// As in these, floats are rounded to nearest and subnormal ones count as zero, whatever the host has set; the thread
    /// has the host's setting again afterwards.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        let work = || {
            let _env = FloatEnv::enter();
            work()
        };
        match &self.runner {
            None => work(),
            Some(runner) => {
                let mut work = Some(work);
                let mut result = None;
                // A runner that calls it again changes nothing.
                runner.enter(&mut || {
                    if let Some(work) = work.take() {
                        result = Some(work());
                    }
                });
                result.expect("a runner calls the work it is given")
            }
        }
    }

    /// Does `work` as [`enter`](Cx::enter) does, with a context whose loops ask `monitor` whether to go on, and the monitor
    /// for what it reports itself.
    ///
    /// # Errors
    /// Those of `work`, and `Cancelled` by the monitor, whatever `work` returned.
    pub(crate) fn watched<R: Send>(
        &self,
        monitor: &Monitor<'_>,
        work: impl FnOnce(&Self, &Monitor<'_>) -> Result<R> + Send,
    ) -> Result<R> {
        monitor.run(|monitor| {
            let Some(watch) = monitor.watch() else { return self.enter(|| work(self, monitor)) };
            // SAFETY: `work` has but a reference to this context, which ends here; clones of it are not watched.
            let cx = Self { watch: unsafe { Attached::to(watch) }, ..self.clone() };
            cx.enter(|| work(&cx, monitor))
        })
    }

    /// Whether to go on; asks the monitor of a [`watched`](Cx::watched) context if it is time to. For tasks of some
    /// milliseconds and more: once it is false, they may return at any point, and so may whoever waits for their results.
    #[inline]
    pub(crate) fn goes_on(&self) -> bool {
        self.watch.get().is_none_or(Watch::goes_on)
    }

    /// Scratch memory, reused between calls: after the first call of a size nothing is allocated, if it is within
    /// [`Limits::idle_scratch_bytes`].
    ///
    /// # Errors
    /// `Limit` beyond [`Limits::scratch_bytes`], `OutOfMemory`.
    pub fn workspace(&self, req: ScratchReq) -> Result<WorkspaceGuard<'_>> {
        self.limits.check_scratch(req.len().saturating_mul(size_of::<f32>()))?;
        let workspace = self.workspaces.with(Vec::pop).unwrap_or_default();
        let mut guard = WorkspaceGuard { workspace, cx: self };
        guard.reserve(req)?;
        Ok(guard)
    }

    /// Frees the scratch memory kept for reuse. What exceeds [`Limits::idle_scratch_bytes`] is freed without being asked.
    pub fn trim(&self) {
        drop(self.workspaces.with(core::mem::take));
    }
}

impl core::fmt::Debug for Cx {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cx").field("level", &self.level.name()).field("threads", &self.threads()).finish()
    }
}

fn default_threads() -> usize {
    #[cfg(feature = "parallel")]
    {
        std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS)
    }
    #[cfg(not(feature = "parallel"))]
    {
        1
    }
}

/// Workspaces waiting for reuse, behind a lock held only to push and pop.
#[derive(Default)]
struct WorkspaceCache {
    lock: ForkLock,
    idle: UnsafeCell<Vec<Workspace>>,
}

// SAFETY: `idle` is only reached through `with`, under the lock.
unsafe impl Sync for WorkspaceCache {}

impl WorkspaceCache {
    fn with<R>(&self, work: impl FnOnce(&mut Vec<Workspace>) -> R) -> R {
        let locked = self.lock.lock();
        if locked.is_inherited {
            // SAFETY: the lock is held. What the other process was changing is left to it, and never read here.
            unsafe { self.idle.get().write(Vec::new()) };
        }
        // SAFETY: the lock is held, so this is the only reference.
        work(unsafe { &mut *self.idle.get() })
    }
}

/// A borrowed [`Workspace`] that returns to its context when dropped.
pub struct WorkspaceGuard<'a> {
    workspace: Workspace,
    cx: &'a Cx,
}

impl Deref for WorkspaceGuard<'_> {
    type Target = Workspace;
    fn deref(&self) -> &Workspace {
        &self.workspace
    }
}

impl DerefMut for WorkspaceGuard<'_> {
    fn deref_mut(&mut self) -> &mut Workspace {
        &mut self.workspace
    }
}

impl Drop for WorkspaceGuard<'_> {
    fn drop(&mut self) {
        let workspace = core::mem::take(&mut self.workspace);
        let most = self.cx.limits.idle_scratch_bytes;
        // What is beyond the limit is freed here, after the lock; and so is what the list itself has no memory for.
        let _beyond = self.cx.workspaces.with(|idle| {
            let kept = idle.iter().map(Workspace::bytes).sum::<usize>();
            if kept + workspace.bytes() > most || idle.try_reserve(1).is_err() {
                return Some(workspace);
            }
            idle.push(workspace);
            None
        });
    }
}

#[cfg(test)]
mod tests {
    #[cfg(feature = "std")]
    use core::sync::atomic::AtomicBool;

    use super::*;

    #[test]
    fn parallel_for_runs_every_task_once() {
        for threads in [1, 2, 5] {
            #[cfg(not(feature = "parallel"))]
            if threads > 1 {
                continue;
            }
            let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
            for tasks in [0, 1, 2, 7, 100] {
                let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
                cx.parallel_for(tasks, |lane, task| {
                    assert!(lane < threads);
                    runs[task].fetch_add(1, Ordering::Relaxed);
                });
                assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
            }
        }
    }

    /// Calls the first lane twice at the same time and the last one not at all; enters twice; and has more threads each time
    /// that it is asked.
    #[cfg(feature = "std")]
    #[derive(Default)]
    struct Careless {
        asked: AtomicUsize,
    }

    #[cfg(feature = "std")]
    impl Runner for Careless {
        fn threads(&self) -> usize {
            3 + self.asked.fetch_add(1, Ordering::Relaxed)
        }

        fn run(&self, _: usize, lane: &(dyn Fn(usize) + Sync)) {
            std::thread::scope(|scope| [0, 0].map(|index| scope.spawn(move || lane(index))).map(drop));
        }

        fn enter(&self, work: &mut (dyn FnMut() + Send)) {
            work();
            work();
        }
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_careless_runner_breaks_nothing() {
        let cx = Cx::with_runner(Level::detect(), Arc::new(Careless::default()));
        assert_eq!([cx.threads(), cx.threads()], [3, 3]);
        assert_eq!(cx.enter(|| 7), 7);
        let busy = [const { AtomicBool::new(false) }; 3];
        for tasks in [2, 3, 200] {
            let runs: Vec<AtomicUsize> = (0..tasks).map(|_| AtomicUsize::new(0)).collect();
            cx.parallel_for(tasks, |lane, task| {
                assert!(!busy[lane].swap(true, Ordering::Relaxed), "lane {lane} runs two tasks at a time");
                runs[task].fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
                busy[lane].store(false, Ordering::Relaxed);
            });
            assert!(runs.iter().all(|runs| runs.load(Ordering::Relaxed) == 1));
        }
    }

    #[test]
    fn for_each_visits_every_item_once() {
        let threads = if cfg!(feature = "parallel") { 3 } else { 1 };
        let cx = Cx::new(&CxOptions::default().with_threads(threads)).unwrap();
        for len in [0, 1, 2, 50] {
            let (mut lanes, mut items) = (alloc::vec![0; threads], alloc::vec![0; len]);
            cx.for_each(&mut lanes, &mut items, |lane, item| {
                *lane += 1;
                *item += 1;
            });
            assert!(items.iter().all(|&visits| visits == 1));
            assert_eq!(lanes.iter().sum::<usize>(), len);
        }
    }

    #[test]
    fn workspaces_are_reused() {
        let cx = Cx::serial(Level::detect());
        let place = |len| cx.workspace(ScratchReq::slice(len)).unwrap().scratch().take(len).as_ptr();
        assert_eq!(place(100), place(50));
    }

    #[test]
    fn too_many_threads_are_refused() {
        let error = Cx::new(&CxOptions::default().with_threads(5000)).unwrap_err();
        assert_eq!(error.code(), crate::ErrorCode::InvalidArgument);
    }

    /// What is idle, in bytes of each buffer.
    fn idle(cx: &Cx) -> Vec<usize> {
        cx.workspaces.with(|idle| idle.iter().map(Workspace::bytes).collect())
    }

    #[test]
    fn idle_scratch_is_bounded() {
        const BYTES: usize = 4096;
        let req = ScratchReq::bytes(BYTES);
        let cx =
            |most| Cx::serial(Level::detect()).with_limits(Limits::default().with_idle_scratch_bytes(most));
        for (most, kept) in [(0, 0), (BYTES - 1, 0), (BYTES, 1), (3 * BYTES - 1, 2), (usize::MAX, 4)] {
            let cx = cx(most);
            let lent = [(); 4].map(|()| cx.workspace(req).unwrap());
            assert!(idle(&cx).is_empty());
            drop(lent);
            assert_eq!(idle(&cx), [BYTES].repeat(kept), "at most {most}");
            cx.trim();
            assert!(idle(&cx).is_empty());
        }
        // A small buffer that comes back finds room beside a large one that is lent again.
        let cx = cx(BYTES + 1024);
        let (large, small) = (cx.workspace(req).unwrap(), cx.workspace(ScratchReq::bytes(1024)).unwrap());
        drop((large, small));
        assert_eq!(idle(&cx), [BYTES, 1024]);
    }

    #[test]
    fn scratch_beyond_the_limit_is_refused() {
        let cx = Cx::serial(Level::detect()).with_limits(Limits::default().with_scratch_bytes(4096));
        cx.workspace(ScratchReq::bytes(4096)).unwrap();
        for req in [ScratchReq::bytes(4097), ScratchReq::slice(usize::MAX / 8)] {
            assert_eq!(cx.workspace(req).err().unwrap().code(), crate::ErrorCode::Limit);
        }
        assert_eq!(idle(&cx), [4096], "what was there stays");
    }
}
