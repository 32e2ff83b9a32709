//! What each policy promises, on members of random draws under random budgets.

use super::tiered::Ladder;
use super::*;
use crate::physics::clock::ClockLaw;
use crate::scenario::types::PowerPriority;

/// splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

const POOLS: u64 = 3;
const LOWEST: f64 = 0.3;
const LAW: ClockLaw = ClockLaw { exponent: 1.8, min_share: LOWEST, memory_knee: 0.5 };

/// Steps of 0.05 from 0.3 to 1; none for any clock.
fn clocks(any: bool) -> Clocks {
    let grid: Vec<Clock> = (6..=20).map(|step| Clock::at(f64::from(step) * 0.05, &LAW)).collect();
    let grids = vec![if any { Vec::new() } else { grid }; POOLS as usize];
    Clocks::of(grids, vec![LAW; POOLS as usize], 0..POOLS as usize)
}

fn members(dice: &mut Dice, count: usize) -> Vec<Member> {
    let member = |_| {
        let (fixed, swing) = (300 + dice.below(300), 1000 + dice.below(4000));
        let draw = Draw {
            fixed_nw: fixed as i64 * 1_000_000_000,
            swing_nw: swing as i64 * 1_000_000_000,
            ..Draw::default()
        };
        let mut member = Member {
            pool: dice.below(POOLS) as u16,
            draw,
            local: Clock::FULL,
            planned_nw: draw.fixed_nw,
            working: dice.below(5) > 0,
            prefills: dice.below(4) == 0,
        };
        member.planned_nw = watts(&member, &Clock::FULL);
        member
    };
    (0..count).map(member).collect()
}

fn sum(members: &[Member]) -> i128 {
    members.iter().map(|member| i128::from(member.planned_nw)).sum()
}

/// Most that one step of one member moves the plan by [nW].
fn largest_step<L: Ladder>(ladder: &L, clocks: &Clocks, members: &[Member]) -> i128 {
    let steps = members.iter().filter(|member| member.working).flat_map(|member| {
        (1..ladder.steps()).map(|step| {
            let at = |step| watts(member, &ladder.clock(clocks, member, step));
            i128::from(at(step) - at(step - 1))
        })
    });
    steps.max().unwrap_or(0)
}

/// Lower and raise under random budgets, with `between` changing the members; every time the plan is what the ceilings
/// say, fits, and leaves less than a step of one member unused. `holds` sees all ceilings as shares.
fn under_budgets<L: Ladder + Clone>(
    ladder: &L,
    clocks: &Clocks,
    members: &mut [Member],
    dice: &mut Dice,
    between: impl Fn(&mut Dice, &mut [Member], &mut Tiered<L>),
    holds: impl Fn(&[Member], &[f64]),
) {
    let mut policy = Tiered::new(ladder.clone(), clocks.clone(), members);
    let mut moved = Vec::new();
    for _ in 0..200 {
        between(dice, members, &mut policy);
        for (number, member) in members.iter_mut().enumerate() {
            member.planned_nw = watts(member, &policy.ceiling(number, member));
        }
        let full: i128 = members.iter().map(|m| i128::from(watts(m, &Clock::FULL))).sum();
        let lowest: i128 = members.iter().map(|m| i128::from(watts(m, &clocks.lowest(m.pool)))).sum();
        // Now and then above all, or below what can be reached.
        let budget = lowest + (full - lowest) * i128::from(dice.below(120)) / 100 - (full - lowest) / 20;
        let planned = sum(members);
        moved.clear();
        let now = if planned > budget {
            policy.lower(members, planned, budget, &mut moved)
        } else {
            policy.raise(members, planned, budget, &mut moved)
        };
        assert_eq!(now, sum(members), "the sum that it returns");
        for (number, member) in members.iter().enumerate() {
            let planned = watts(member, &policy.ceiling(number, member));
            assert_eq!(member.planned_nw, planned, "member {number} is planned at its ceiling");
        }
        assert!(now <= budget || policy.lowest_reached(), "{now} of {budget}");
        assert_eq!(policy.lowest_reached() && now > budget, budget < lowest);
        if budget >= full {
            assert!(policy.at_full());
        } else if now <= budget {
            assert!(budget - now < largest_step(ladder, clocks, members), "{} unused", budget - now);
        }
        let shares: Vec<f64> =
            members.iter().enumerate().map(|(k, m)| policy.ceiling(k, m).as_share()).collect();
        holds(members, &shares);
    }
}

/// Nobody of a later group is below full clock while one of an earlier group is above the lowest.
fn in_order(groups: &[Vec<f64>]) {
    for (k, group) in groups.iter().enumerate() {
        let below_full = group.iter().any(|&share| share < 1.0);
        if below_full {
            let earlier = groups[..k].iter().flatten();
            assert!(earlier.clone().all(|&share| (share - LOWEST).abs() < 1e-9), "{groups:?}");
        }
        let (least, most) = group.iter().fold((2.0_f64, 0.0_f64), |(a, b), &s| (a.min(s), b.max(s)));
        assert!(
            group.is_empty() || most - least < 0.05 + 1e-9,
            "a group is split over two steps: {groups:?}"
        );
    }
}

fn of(members: &[Member], shares: &[f64], holds: impl Fn(&Member) -> bool) -> Vec<f64> {
    let working = members.iter().zip(shares).filter(|(member, _)| member.working && holds(member));
    working.map(|(_, &share)| share).collect()
}

/// Some begin to work or stop, some change from prompts to decoding and back.
fn change<L: Ladder>(dice: &mut Dice, members: &mut [Member], policy: &mut Tiered<L>) {
    for (number, member) in members.iter_mut().enumerate() {
        match dice.below(8) {
            0 => {
                member.working = !member.working;
                if !member.working {
                    member.planned_nw = member.draw.fixed_nw;
                }
            }
            1 | 2 => {
                member.prefills = !member.prefills;
                policy.change_phase(number, member);
            }
            _ => {}
        }
    }
}

#[test]
fn low_priority_goes_down_first_and_comes_up_last() {
    let dice = &mut Dice(1);
    for count in [1, 2, 7, 64, 130] {
        let (clocks, mut members) = (clocks(false), members(dice, count));
        let priorities = [PowerPriority::High, PowerPriority::Low, PowerPriority::Normal];
        let ladder = Priority::new(priorities.into_iter(), clocks.steps());
        under_budgets(&ladder, &clocks, &mut members, dice, change, |members, shares| {
            let pool = |number| of(members, shares, |member| member.pool == number);
            in_order(&[pool(1), pool(2), pool(0)]);
        });
    }
}

#[test]
fn decoding_goes_down_before_prompts() {
    let dice = &mut Dice(2);
    for count in [1, 3, 64, 129] {
        let (clocks, mut members) = (clocks(false), members(dice, count));
        let ladder = PhaseAware::new(clocks.steps());
        under_budgets(&ladder, &clocks, &mut members, dice, change, |members, shares| {
            in_order(&[of(members, shares, |m| !m.prefills), of(members, shares, |m| m.prefills)]);
        });
    }
}

#[test]
fn one_clock_is_split_over_two_steps() {
    let dice = &mut Dice(3);
    let (clocks, mut members) = (clocks(false), members(dice, 70));
    let ladder = UniformClock::new(clocks.steps());
    under_budgets(&ladder, &clocks, &mut members, dice, change, |members, shares| {
        in_order(&[of(members, shares, |_| true)]);
    });
}

#[test]
fn everybody_keeps_the_same_share_of_watts() {
    let dice = &mut Dice(4);
    for (share_step, any) in [(0.01, true), (0.07, true), (0.5, true), (0.01, false)] {
        let (clocks, mut members) = (clocks(any), members(dice, 40));
        let ladder = Proportional::new(share_step);
        under_budgets(&ladder, &clocks, &mut members, dice, change, |members, _| {
            // Of those above their lowest clock; with a grid of clocks a member keeps up to a step of its own less.
            let grid = |member: &Member, share: f64| {
                let clock = clocks.within(member.pool, &member.draw, (share * full(member) as f64) as i64);
                member.draw.it_nw(&clock)
            };
            let above =
                members.iter().filter(|m| m.working && m.planned_nw > clocks.lowest_nw(m.pool, &m.draw));
            let shares: Vec<f64> = above.clone().map(|m| m.planned_nw as f64 / full(m) as f64).collect();
            let most = shares.iter().copied().fold(0.0, f64::max);
            if any {
                let least = shares.iter().copied().fold(1.0, f64::min);
                assert!(most - least <= share_step + 1e-9, "{least} … {most}");
            } else {
                for member in above {
                    assert!(
                        member.planned_nw >= grid(member, most - share_step),
                        "less than a step below {most}"
                    );
                }
            }
        });
    }
}

fn full(member: &Member) -> i64 {
    member.draw.it_nw(&Clock::FULL)
}

#[test]
fn numbers_of_members_change_nothing_but_the_split() {
    let dice = &mut Dice(5);
    let clocks = clocks(false);
    let members = members(dice, 50);
    let planned = sum(&members);
    for percent in (40..100).step_by(3) {
        let budget = planned * percent / 100;
        let lowered = |order: &[usize]| -> (i128, Vec<f64>) {
            let mut shuffled: Vec<Member> = order.iter().map(|&number| members[number]).collect();
            let priorities = [PowerPriority::High, PowerPriority::Low, PowerPriority::Normal];
            let ladder = Priority::new(priorities.into_iter(), clocks.steps());
            let mut policy = Tiered::new(ladder, clocks.clone(), &shuffled);
            let now = policy.lower(&mut shuffled, planned, budget, &mut Vec::new());
            let mut shares = vec![0.0; order.len()];
            for (place, &number) in order.iter().enumerate() {
                shares[number] = policy.ceiling(place, &shuffled[place]).as_share();
            }
            (now, shares)
        };
        let straight: Vec<usize> = (0..members.len()).collect();
        let mut order = straight.clone();
        for place in (1..order.len()).rev() {
            order.swap(place, dice.below(place as u64 + 1) as usize);
        }
        let ((one, shares), (other, shuffled)) = (lowered(&straight), lowered(&order));
        let ladder = UniformClock::new(clocks.steps());
        assert!((one - other).abs() < largest_step(&ladder, &clocks, &members));
        for (number, (a, b)) in shares.iter().zip(&shuffled).enumerate() {
            assert!((a - b).abs() < 0.05 + 1e-9, "member {number}: {a} and {b}");
        }
    }
}

#[test]
fn a_tier_without_members_is_no_work() {
    // All work on prompts: decoding has nobody to slow down, and the prompts' turn comes at once.
    let clocks = clocks(false);
    let mut members = members(&mut Dice(6), 1000);
    members.iter_mut().for_each(|member| member.prefills = true);
    let mut policy = Tiered::new(PhaseAware::new(clocks.steps()), clocks, &members);
    let planned = sum(&members);
    let mut fell = Vec::new();
    policy.lower(&mut members, planned, planned - 1, &mut fell);
    assert_eq!(fell.len(), 1);
    assert!(!policy.at_full() && !policy.lowest_reached());
}
