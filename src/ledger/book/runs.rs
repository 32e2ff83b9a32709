//! Runs of iterations in the books: energy, tokens, gaps between them.

use super::{CLOCK_BITS, Ledger, Rest, Run, TOKEN_BITS};
use crate::physics::clock::FRACTION_BITS;
use crate::physics::energy::short;

impl Ledger {
    /// Post iterations of which all end by `until_fs`. As a rule they lie in the window and in the interval under
    /// way; else, or after a stall, they go the long way of [`Self::post`].
    #[inline(always)]
    pub fn post_whole(&mut self, run: Run) {
        let short_fs = short(run.until_fs - run.start_fs).filter(|_| {
            run.stall_fs == 0 && run.start_fs >= self.plain_from_fs && run.until_fs < self.next_mark_fs
        });
        let Some(short_fs) = short_fs else { return self.post(&{ run }) };
        let account = &mut self.pools[run.pool];
        account.it.add_one(run.it_nw, short_fs);
        account.gpu_active.add_one(run.gpu_nw, short_fs);
        account.busy_fs += i128::from(short_fs);
        let clock = run.clock.share >> (FRACTION_BITS - CLOCK_BITS);
        account.clock_fs += i128::from(clock as i64) * i128::from(short_fs as i64);
        account.plain_tokens += run.iterations as u64 * u64::from(run.emitted);
        self.iterations += run.iterations as u64;
        self.segments += 1;
        self.itl.record_whole(&run.series, run.iterations as u64, u64::from(run.decoding), short_fs);
    }

    /// Count the tokens of the interval under way to it; before it ends, and at the end.
    pub(super) fn flush_plain(&mut self) {
        let emitted: u64 = self.pools.iter().map(|account| account.plain_tokens).sum();
        self.output_tokens += emitted;
        let index = self.marks.len();
        self.interval_mut(index).tokens += i128::from(emitted) << TOKEN_BITS;
        for account in &mut self.pools {
            let tokens = std::mem::take(&mut account.plain_tokens);
            account.window_tokens += i128::from(tokens) << TOKEN_BITS;
        }
    }

    /// Post a stretch without iterations.
    #[inline]
    pub fn post_rest(&mut self, rest: &Rest) {
        let duration_fs = rest.until_fs - rest.start_fs;
        let account = &mut self.pools[rest.pool];
        account.it.add(i128::from(rest.it_nw), duration_fs);
        account.gpu_idle.add(i128::from(rest.gpu_nw), duration_fs);
    }

    /// Post a run of iterations.
    pub fn post(&mut self, run: &Run) {
        let duration = run.until_fs - run.start_fs;
        let account = &mut self.pools[run.pool];
        account.it.add(i128::from(run.it_nw), duration);
        account.gpu_active.add(i128::from(run.gpu_nw), duration);
        self.iterations += run.iterations as u64;
        self.segments += 1;
        self.output_tokens += run.iterations as u64 * u64::from(run.emitted);
        let in_window = run.until_fs - run.start_fs.max(self.window_fs.min(run.until_fs));
        account.busy_fs += in_window;
        account.clock_fs += i128::from(run.clock.share >> (FRACTION_BITS - CLOCK_BITS)) * in_window;
        self.post_gaps(run);
        self.post_tokens(run);
    }

    /// Gaps between tokens of decoding sequences: each iteration is one, a stall before it included. Tokens that come
    /// together have no gaps between them, so with speculation there are fewer: one per chunk of a stream, as benchmarks of
    /// serving engines count.
    fn post_gaps(&mut self, run: &Run) {
        if run.decoding == 0 || run.iterations == 0 {
            return;
        }
        let mut from = if run.start_fs >= self.window_fs {
            0
        } else {
            run.series.completed(self.window_fs - run.start_fs)
        };
        if run.stall_fs > 0 && from == 0 {
            self.itl.record(i128::from(run.series.first_fs) + run.stall_fs, u64::from(run.decoding));
            from = 1;
        }
        self.itl.record_series(&run.series, from, run.iterations, u64::from(run.decoding));
    }

    /// Output tokens by window and interval; an iteration cut by an edge counts in proportion to its time.
    fn post_tokens(&mut self, run: &Run) {
        if run.emitted == 0 {
            return;
        }
        let total = if run.cut {
            tokens_after(run, run.until_fs)
        } else {
            (i128::from(run.iterations) * i128::from(run.emitted)) << TOKEN_BITS
        };
        let window = if run.start_fs >= self.window_fs {
            total
        } else if run.until_fs <= self.window_fs {
            0
        } else {
            total - tokens_after(run, self.window_fs)
        };
        self.pools[run.pool].window_tokens += window;
        let last = self.index_at(run.until_fs);
        let mut before = 0;
        for index in self.index_at(run.start_fs)..last {
            let edge = (index as i128 + 1) * self.interval_fs;
            let upto = tokens_after(run, edge);
            self.interval_mut(index).tokens += upto - before;
            before = upto;
        }
        if total > before {
            self.interval_mut(last).tokens += total - before;
        }
    }
}

/// Tokens that a run has emitted `at_fs`, in 2^-32 tokens, iterations under way in proportion to their time.
fn tokens_after(run: &Run, at_fs: i128) -> i128 {
    let emitted = i128::from(run.emitted);
    let elapsed = at_fs - run.start_fs;
    let done = run.series.completed(elapsed);
    let rest = elapsed - run.series.sum_fs(done);
    let whole = (i128::from(done) * emitted) << TOKEN_BITS;
    if rest == 0 {
        return whole;
    }
    // Durations stay below 10^19 fs, so the product fits.
    whole + ((emitted * rest) << TOKEN_BITS) / i128::from(run.series.nth_fs(done))
}
