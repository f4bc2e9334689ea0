//! Clocks, and a table of things that are measured in turn.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

/// One thing that is measured: its seconds, or `None` where it cannot be done here.
pub(crate) struct Step<'a> {
    name: &'static str,
    work: Box<dyn FnMut() -> Option<f64> + 'a>,
    /// The name of the step that its time is divided by.
    over: Option<&'static str>,
    seconds: Vec<f64>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(name: &'static str, work: impl FnMut() -> Option<f64> + 'a) -> Self {
        Self {
            name,
            work: Box::new(work),
            over: None,
            seconds: Vec::new(),
        }
    }

    /// Prints how many times the time of that step it takes.
    pub(crate) fn over(mut self, step: &'static str) -> Self {
        self.over = Some(step);
        self
    }

    fn median(&self) -> Option<f64> {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        seconds.get(seconds.len() / 2).copied()
    }
}

pub(crate) struct Table<'a> {
    steps: Vec<Step<'a>>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(steps: Vec<Step<'a>>) -> Self {
        Self { steps }
    }

    /// All steps one after the other, so often: what disturbs the machine for a while disturbs all of them.
    pub(crate) fn measure(&mut self, num_rounds: usize) {
        for _ in 0..num_rounds {
            for step in &mut self.steps {
                step.seconds.extend((step.work)());
            }
        }
    }

    pub(crate) fn print(&self, num_records: u64) {
        println!("  {:<40} us/record  ratio", "");
        for step in &self.steps {
            let Some(seconds) = step.median() else {
                println!("  {:<40}         -", step.name);
                continue;
            };
            let ratio = step.over.and_then(|name| {
                let over = self.steps.iter().find(|step| step.name == name)?;
                Some(format!("  {:5.2} x {name}", seconds / over.median()?))
            });
            let micros = seconds * 1e6 / num_records.max(1) as f64;
            println!("  {:<40} {micros:9.3}{}", step.name, ratio.unwrap_or_default());
        }
    }
}

/// CPU seconds of this thread.
pub(crate) fn cpu_seconds(work: impl FnOnce()) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let before = now();
    work();
    now() - before
}

/// Elapsed seconds: means something on an idle machine only.
pub(crate) fn wall_seconds(work: impl FnOnce()) -> f64 {
    let before = Instant::now();
    work();
    before.elapsed().as_secs_f64()
}

/// What the processes took that this one started and that have ended: fields 16 and 17 of /proc/self/stat, hundredths of
/// a second.
pub(crate) fn children_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux has it");
    let fields = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace();
    let ticks = fields
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}
