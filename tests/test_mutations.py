"""Wrong programs that the tests must notice: each is written into a copy of the package and run."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

import panicsim

TESTS = Path(__file__).parent
PACKAGE = Path(panicsim.__file__).parent


@dataclass(frozen=True)
class Mutant:
    """One wrong line: in `module`, `right` becomes `wrong`; `killer` is an ordinary test that notices."""

    module: str
    right: str
    wrong: str
    killer: str


MUTANTS = {
    "a claim counted again once it is paid": Mutant(
        "capstone.py",
        "np.diff(sold[:-1] + asked",
        "np.diff(sold[1:] + asked",
        "test_capstone.py::test_what_savers_lose_by_their_own_curve",
    ),
    "radar counts what is sold already": Mutant(
        "photograph.py",
        "np.maximum(fall + further, worst)",
        "fall + further",
        "test_watch.py::test_one_way_sellers_are_done_down_to_the_worst_fall_and_others_are_not",
    ),
    "warnings look ahead": Mutant(
        "watch.py",
        "ar1[window:], variance[window:] =",
        "ar1[window - 1 : -1], variance[window - 1 : -1] =",
        "test_watch.py::test_warnings_never_look_ahead",
    ),
    "one rebound counted twice": Mutant(
        "base_rates.py",
        "kept = _spaced(events, horizon)",
        "kept = events",
        "test_base_rates.py::test_returns_by_a_plain_loop",
    ),
    "minted at the price of the start": Mutant(
        "participants/redeemers.py",
        "view.market.price_at(np.minimum(view.fall, 600.0))",
        "view.market.price_at(0.0 * view.fall)",
        "test_mint.py::test_film_approaches_the_closed_form",
    ),
    "a purchase without impact": Mutant(
        "sizing.py",
        "* (1.0 - self.cost) / (1.0 + part)",
        "* (1.0 - self.cost)",
        "test_sizing.py::test_a_round_trip_through_the_book_leaves_the_share_that_the_law_says",
    ),
    "no ratchet": Mutant(
        "participants/base.py",
        'fall = np.maximum(mine["worst"], fall, out=mine["worst"])',
        "pass",
        "test_film.py::test_one_way_sellers_never_buy_back",
    ),
    "recovery ignored": Mutant(
        "film.py",
        "self.stay = float(np.exp(-market.recovery * dt))",
        "self.stay = 1.0",
        "test_concepts.py::test_dislocation_halves_in_two_hours_and_a_third",
    ),
    "permanent ignored": Mutant(
        "film.py",
        "* market.permanent",
        "* 0.0",
        "test_concepts.py::test_overreaction_is_the_gain_that_value_did_not_follow",
    ),
    "sale ignored": Mutant(
        "film.py",
        "[[0.0], np.cumsum(sales)]",
        "[[0.0], 0.0 * np.cumsum(sales)]",
        "test_film.py::test_sale_is_sold_in_its_time",
    ),
    "noise depends on paths": Mutant(
        "film.py",
        "draws.standard_normal(out=block)",
        "block[:] = draws.standard_normal((steps, len(block))).T",
        "test_conformance.py::test_same_seed_same_run_and_path_j_for_any_number",
    ),
    "buyers without capital limit": Mutant(
        "participants/value_buyers.py",
        "np.clip(fall, 0.0, self.spent_at(market))",
        "np.maximum(fall, 0.0)",
        "test_film.py::test_buyers_stop_when_their_money_is_spent",
    ),
    "fills at the price before the trade": Mutant(
        "market.py",
        "-np.expm1(np.minimum(rise, 1.0))",
        "-rise",
        "test_conformance.py::test_money_is_conserved",
    ),
    "levels 1.2 bp late": Mutant(
        "participants/level_map.py",
        "below = -np.log(price)",
        "below = 1.2e-4 - np.log(price)",
        "test_longs.py::test_levels_are_hit_where_they_are",
    ),
    "a grid of 1 bp": Mutant(
        "participants/level_map.py",
        "ROWS_PER_UNIT = 1e5",
        "ROWS_PER_UNIT = 1e4",
        "test_longs.py::test_levels_are_hit_where_they_are",
    ),
    "rebalancer that is only linear": Mutant(
        "participants/rebalancer.py",
        "np.expm1(exponent)",
        "exponent",
        "test_concepts.py::test_rebalancer_solves_its_equation",
    ),
    "buyers answer explicitly": Mutant(
        "film.py",
        "for turn in range(SEARCH_STEPS):",
        "for turn in range(0):",
        "test_film.py::test_buyers_answer_within_the_step",
    ),
    "a liquidation without bonus": Mutant(
        "participants/lending_pool.py",
        'taken = (1.0 + self.bonus) * paid / mine["price"]',
        'taken = paid / mine["price"]',
        "test_conformance.py::test_loans_are_repaid_settled_or_owed",
    ),
    "grants that outlive a halt": Mutant(
        "participants/lending_pool.py",
        "granted * (price <= until)",
        "granted",
        "test_lending_pool.py::test_who_is_healthy_again_after_a_halt_is_left_alone",
    ),
    "dealers who hedge the wrong way": Mutant(
        "participants/dealers.py",
        "self.hedge(market.price) - self.hedge(price)",
        "self.hedge(price) - self.hedge(market.price)",
        "test_dealers.py::test_curve_is_the_change_of_the_hedge",
    ),
    "expired options that are traded away": Mutant(
        "participants/dealers.py",
        'mine["start"] - self.hedge(price, view.time) - mine["delivered"]',
        'mine["start"] - self.hedge(price, view.time)',
        "test_dealers.py::test_what_expires_is_delivered_and_not_traded",
    ),
    "miners who sell without end": Mutant(
        "participants/miners.py",
        "self.horizon / 24.0 * ",
        "",
        "test_miners.py::test_photograph_counts_the_excess_over_its_horizon",
    ),
    "depth that stays in a film": Mutant(
        "film.py",
        "share = share * depth.book(self.view, seen)",
        "depth.book(self.view, seen)",
        "test_depth.py::test_depth_falls_with_realised_volatility",
    ),
    "depth that stays in a photograph": Mutant(
        "market.py",
        "self._tabulate(now * depth.at_once(_FALLS))",
        "self._tabulate(now + 0.0 * _FALLS)",
        "test_depth.py::test_photograph_takes_the_fall_as_one_move",
    ),
    "a median that is a mean": Mutant(
        "rules/oracle.py",
        "return (middle[0] + middle[-1]) / 2",
        "return quotes.mean(axis=0)",
        "test_concepts_venues.py::test_median_ignores_one_corrupted_venue",
    ),
    "small loans counted by number": Mutant(
        "rules/liquidators.py",
        "below = np.cumsum(np.append(0.0, sizes))",
        "below = np.linspace(0, sizes.sum(), len(sizes) + 1)",
        "test_rules.py::test_small_loans_are_left",
    ),
    "a fund that never empties": Mutant(
        "rules/waterfall.py",
        'paid = np.minimum(short, mine["fund"])',
        "paid = short",
        "test_rules.py::test_margin_then_fund_then_everybody",
    ),
    "deleveraged coins sold as well": Mutant(
        "rules/waterfall.py",
        "wants[name] + meant for",
        "wants[name] for",
        "test_rules.py::test_deleveraging_turns_g_into_g_times_one_minus_a",
    ),
    "deleveraging in a closed market": Mutant(
        "rules/waterfall.py",
        " * (np.asarray(view.share) > 0)",
        "",
        "test_rules.py::test_nobody_is_deleveraged_in_a_closed_market",
    ),
    "a queue without a notice": Mutant(
        "rules/redemption_queue.py",
        "late.turn(paid + claim) - paid",
        "claim",
        "test_rules.py::test_a_claim_waits_and_the_day_has_a_number",
    ),
    "a breaker that fires again": Mutant(
        "rules/circuit_breaker.py",
        'mine["fired"] |= fires',
        "pass",
        "test_rules.py::test_each_level_fires_once_and_for_its_own_time",
    ),
    "nobody decides anything in a halt": Mutant(
        "film.py",
        "np.where(view.waited > 0, longer, pace)",
        "pace",
        "test_rules.py::test_slow_buyers_arrive_in_a_pause",
    ),
    "a margin that moves levels the wrong way": Mutant(
        "rules/volatility_margin.py",
        "np.log1p(-own) - np.log1p(-margin)",
        "np.log1p(-margin) - np.log1p(-own)",
        "test_concepts_rules.py::test_margin_moves_the_levels_of_longs",
    ),
    "a vote that is counted at once": Mutant(
        "rules/governance.py",
        'mine["called"] + self.delay',
        'mine["called"]',
        "test_concepts_rules.py::test_what_a_late_change_still_saves",
    ),
    "a halt past the frontier ignored": Mutant(
        "participants/lending_pool.py",
        "(debt <= self.halt * worth)",
        "1.0",
        "test_published_adl.py::test_halt_at_the_frontier",
    ),
    "rules that do not see one another": Mutant(
        "film.py",
        "view.seen[name] = np.clip(shown, NO_ROOF, NO_FLOOR)",
        "view.seen = {**view.seen, name: fall}",
        "test_rules.py::test_hooks_come_in_their_order_and_each_rule_gets_what_the_one_before_left",
    ),
    "past sales charged against those who pay no longer": Mutant(
        "rules/liquidators.py",
        'np.maximum(mine["goal"][name] + share * fresh, share * total)',
        "share * total",
        "test_rules.py::test_gas_that_rises_does_not_stop_those_who_can_pay_it",
    ),
    "a year of 8766 hours": Mutant(
        "volatility.py",
        "HOURS_PER_YEAR = 8760.0",
        "HOURS_PER_YEAR = 8766.0",
        "test_film.py::test_volatility_is_annual_and_a_year_has_8760_hours",
    ),
}


def copy_of_package(folder, mutant=None):
    shutil.copytree(PACKAGE, folder / "panicsim", ignore=shutil.ignore_patterns("__pycache__"))
    if mutant:
        module = folder / "panicsim" / mutant.module
        source = module.read_text()
        assert mutant.right in source, f"{mutant.module} has changed: write this mutant anew"
        module.write_text(source.replace(mutant.right, mutant.wrong))
    return folder


def outcome(folder, *killers):
    """Exit code of pytest: 0 if all passed, 1 if a test failed; anything else is not an answer."""
    nodes = [str(TESTS / killer) for killer in killers]
    command = [
        sys.executable,
        "-B",
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "--no-header",
        *nodes,
    ]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_every_wrong_program_is_killed(tmp_path):
    """All killers pass on a true copy, and each mutant fails its own."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        true = pool.submit(outcome, copy_of_package(tmp_path / "true"), *{m.killer for m in MUTANTS.values()})
        runs = {
            name: pool.submit(
                outcome, copy_of_package(tmp_path / name.replace(" ", "_"), mutant), mutant.killer
            )
            for name, mutant in MUTANTS.items()
        }
        code, told = true.result()
        assert code == 0, told
        survivors = {name: told for name, run in runs.items() if (told := run.result())[0] != 1}
    assert not survivors, survivors
