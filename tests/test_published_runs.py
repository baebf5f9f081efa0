"""Published results on runs: the bank with two endings, and the noise that leaves only one."""

import numpy as np
import pytest
from plain import Steps

import panicsim as ps

# A market in which one "coin" is the whole bank and moves the log price by 1: falls are shares of depositors.
SHARES = ps.Market(price=100.0, depth=1.0)


# --- A3: Diamond and Dybvig ---

IMPATIENT, RETURN = 0.25, 2.0


def contract():
    """Best c1, c2 of a bank whose depositors have u(c) = 1 - 1/c, by looking at every promise."""
    early = np.linspace(1.0, 2.0, 1_000_001)
    late = (1 - IMPATIENT * early) * RETURN / (1 - IMPATIENT)
    best = np.argmax(IMPATIENT * (1 - 1 / early) + (1 - IMPATIENT) * (1 - 1 / late))
    return early[best], late[best]


def better_to_run(share, early):
    """What a patient depositor gains by running if `share` withdraws: served in turn, the rest stays in."""
    wait = RETURN * np.maximum(1 - share * early, 0) / (1 - share)
    return np.minimum(early, 1 / share) - wait


def tipping_share(early):
    """Share withdrawing at which running and waiting pay alike, by bisection."""
    low, high = IMPATIENT, 1 - 1e-9
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if better_to_run(middle, early) > 0 else (middle, high)
    return low


def test_optimal_contract_of_a_bank():
    """A3. Diamond 2007, Economic Quarterly 93(2):189 (1.28 and 1.813 as printed): c1 1.2815, c2 1.8123."""
    early, late = contract()
    assert early == pytest.approx(1.2815, abs=5e-5)
    assert late == pytest.approx(1.8123, abs=5e-5)
    assert late / early == pytest.approx(np.sqrt(RETURN), rel=1e-5)
    # It insures (both better than autarky's 1 and 2 for the risk averse) and nobody patient lies.
    assert 1 < early < late < RETURN


@pytest.mark.parametrize(("early", "share"), [(1.2815, 0.5606), (1.28, 0.5625)])
def test_share_of_runners_that_makes_running_right(early, share):
    """A3. Diamond 2007: f* = (R - c1)/(c1 (R - 1)) = 0.5606, 0.5625 with his rounded 1.28."""
    found = tipping_share(early)
    assert found == pytest.approx((RETURN - early) / (early * (RETURN - 1)), rel=1e-9)
    assert found == pytest.approx(share, abs=1e-4)


def test_bank_has_two_stable_endings():
    """A3. Diamond & Dybvig 1983, JPE 91:401: 0.25 and 1 are stable, f* = 0.5606 is not."""
    early = contract()[0]
    tip = tipping_share(early)

    def settled(share):
        for _ in range(200):
            reply = 1.0 if better_to_run(min(share, 1 - 1e-9), early) > 0 else IMPATIENT
            share += 0.2 * (reply - share)
        return share

    for start, ends in ((0.25, 0.25), (tip - 1e-3, 0.25), (tip + 1e-3, 1.0), (1.0, 1.0)):
        assert settled(start) == pytest.approx(ends, abs=1e-9)
    # The same bank in the library: the impatient quarter is the shock, the patient run at f*.
    patient = [Steps([tip], [1 - IMPATIENT])]
    assert ps.cascade(SHARES, patient, IMPATIENT).fall == pytest.approx(0.25, rel=1e-9)
    assert ps.tipping_shock(SHARES, patient) == pytest.approx(tip, abs=2e-5)
    # A rumour that sends a share of `extra` more to the bank is a shock within the same 0.75.
    for extra, ends in ((tip - IMPATIENT - 1e-3, tip - 1e-3), (tip - IMPATIENT + 1e-3, 1.0)):
        still_in = [Steps([tip], [1 - IMPATIENT - extra])]
        assert ps.cascade(SHARES, still_in, IMPATIENT + extra).fall == pytest.approx(ends, rel=1e-9)


# --- A4: the global game ---


def attackers(signal, strength, noise):
    """Share whose private signal, uniform on strength +- noise, lies below the switching signal."""
    return np.clip((signal - strength + noise) / (2 * noise), 0, 1)


def falls_below(signal, noise):
    """Strength of the regime up to which it falls, share of attackers >= strength, by bisection."""
    low, high = -1.0, 2.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if attackers(signal, middle, noise) >= middle else (low, middle)
    return low


def best_reply(critical, noise, cost):
    """Signal below which attacking is right if the regime falls up to a strength of `critical`.

    An agent who sees x believes in strengths uniform on x +- noise; attacking pays 1 if the regime falls.
    """
    grid = (np.arange(4_000) + 0.5) / 2_000 - 1
    low, high = critical - noise, critical + noise
    for _ in range(40):
        middle = (low + high) / 2
        right = (middle + noise * grid <= critical).mean() > cost
        low, high = (middle, high) if right else (low, middle)
    return low


@pytest.mark.parametrize("cost", [0.2, 0.5, 0.7])
@pytest.mark.parametrize("noise", [0.1, 0.3, 1.0])
def test_global_game_has_one_threshold(noise, cost):
    """A4. Morris & Shin 1998, AER 88:587; Goldstein & Pauzner 2005: theta* = 1 - t for every noise.

    Best replies to "everybody attacks" and to "nobody does" meet at x* = theta* + eps (2 theta* - 1).
    """
    ends = []
    for signal in (1 + noise, -noise):
        for _ in range(120):
            critical = falls_below(signal, noise)
            signal, before = best_reply(critical, noise, cost), signal
            if abs(signal - before) < 1e-7:
                break
        ends.append((signal, critical))
    for signal, critical in ends:
        assert critical == pytest.approx(1 - cost, abs=1e-3)
        assert signal == pytest.approx(1 - cost + noise * (1 - 2 * cost), abs=2e-3)


def test_without_noise_the_regime_has_two_endings():
    """A4. Morris & Shin 1998: eps = 0 makes "all attack" and "none" equilibria for theta in (0, 1)."""
    cost = 0.3
    for strength, endings in ((-0.1, {1}), (0.05, {0, 1}), (0.5, {0, 1}), (0.95, {0, 1}), (1.1, {0})):
        stable = {share for share in (0, 1) if ((share >= strength) - cost > 0) == bool(share)}
        assert stable == endings
    # A rule that is the same at every strength cannot tell which: it is noise that picks 1 - t.
    assert falls_below(1 - cost + 1e-6 * (1 - 2 * cost), 1e-6) == pytest.approx(1 - cost, abs=1e-6)


@pytest.mark.parametrize("payoff", [1.1, 1.5, 2.0])
def test_run_threshold_is_a_global_game_with_little_noise(payoff):
    """A4, D1. Morris & Shin 2003: the one who sees exactly the switching signal believes that the share of
    runners is uniform; with the payoffs of a fund the switching signal is exp(1 - R)."""
    noise = 1e-5
    place = (np.arange(20_000) + 0.5) / 10_000 - 1

    def better_to_hold(signal):
        liquid = signal + noise * place
        running = attackers(signal, liquid, noise)
        np.testing.assert_allclose(np.sort(running), (np.arange(20_000) + 0.5) / 20_000, atol=1e-9)
        calm = running <= liquid
        return (payoff * calm - np.where(calm, 1.0, liquid / running)).mean()

    low, high = 0.01, 1.0
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (low, middle) if better_to_hold(middle) > 0 else (middle, high)
    assert low == pytest.approx(ps.run_threshold(payoff), abs=2e-4)
