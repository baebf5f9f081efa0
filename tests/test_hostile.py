"""What a reader may get wrong, or a market may do at its edges, without a word of warning."""

import numpy as np
import pytest

import panicsim as ps


@pytest.mark.parametrize("one_way", [False, True])
def test_bids_that_are_stronger_than_the_book_and_run_out_end_at_the_photograph(one_way):
    buyers, market = ps.ValueBuyers(2.5e6, 29e6, one_way=one_way), ps.Market()
    film = ps.simulate(market, [buyers], [ps.News(-0.14)], hours=1, dt=0.1)
    np.testing.assert_allclose(film.fall[1:, 0], ps.cascade(market, [buyers], 0.14).fall, atol=1e-9)


@pytest.mark.parametrize("fade", [5, 15, 30])
def test_depth_that_fades_exponentially(fade):
    market = ps.Market(depth=lambda fall: 2e6 * np.exp(-fade * fall))
    x = np.array([0.01, 0.05, 0.2])
    np.testing.assert_allclose(market.absorbed(x), 2e6 / fade * -np.expm1(-fade * x), rtol=1e-5)


class Careless(ps.Participant):
    def sold_by(self, fall, market):
        fall -= 0.01
        return 1e6 * np.maximum(fall, 0)


def test_a_curve_cannot_change_what_it_is_given():
    with pytest.raises(ValueError, match="read-only"):
        ps.cascade(ps.Market(), [Careless()], 0.1)
    with pytest.raises(ValueError, match="read-only"):
        ps.Market(depth=lambda fall: np.add(fall, 1e6, out=fall))


def test_stabilisers_that_never_tip_never_tip():
    assert ps.tipping_shock(ps.Market(), [ps.Rebalancer(0.5, 2e7)]) == np.inf


class Own(ps.Participant):
    def __init__(self, curve, lag=0.5):
        self.curve, self.lag = curve, lag

    def sold_by(self, fall, market):
        return self.curve(fall)


@pytest.mark.parametrize(
    "own",
    [Own(lambda x: 1e6 * x, lag=-1), Own(lambda x: 1e6 * x, lag=np.nan), Own(lambda x: 5.0), Own(np.exp)],
)
def test_impossible_participants_of_readers_are_refused(own):
    with pytest.raises(ValueError, match="Own"):
        ps.simulate(ps.Market(), [own], hours=1)


class Wrong(ps.Rule):
    def limit(self, wants, view, mine):
        return {"herd": 0.0}


def test_a_rule_for_nobody_is_refused():
    with pytest.raises(ValueError, match="herd"):
        ps.simulate(ps.Market(), [ps.Herd(1e6)], rules=[Wrong()], hours=1)


# --- Readers' own participants and rules ---


def test_history_can_be_seen_but_not_changed():
    """An in-place operation on what the view shows would write into the record of the run."""

    class Careless(ps.Participant):
        lag = 0.5

        def sold_by(self, fall, market):
            return 1e6 * np.asarray(fall)

        def react(self, view, mine):
            want = view.done
            want -= self.sold_by(view.fall, view.market)
            return want

    with pytest.raises(ValueError, match="read-only"):
        ps.simulate(ps.Market(), [Careless()], [ps.News(-0.05)], hours=1)


class Keeper(ps.Participant):
    """Somebody with books of one's own."""

    def __init__(self, entries):
        self.entries = entries

    def sold_by(self, fall, market):
        return 0.0 * np.asarray(fall)

    def start(self, view):
        return {"n": np.zeros(view.paths)}

    def books(self, view, mine):
        mine["n"] += 1
        return self.entries(view, mine)


def test_books_are_copied_as_they_were():
    run = ps.simulate(ps.Market(), [Keeper(lambda view, mine: {"n": mine["n"]})], hours=1, paths=2)
    np.testing.assert_array_equal(run.books["Keeper"]["n"], np.arange(1, 22)[:, None] + [0, 0])


@pytest.mark.parametrize(
    "entries",
    [
        lambda view, mine: {"n": mine["n"]} if view.time < 0.5 else {},
        lambda view, mine: {"n": mine["n"] * np.nan},
        lambda view, mine: {"n": np.ones(7)},
    ],
)
def test_odd_books_are_refused(entries):
    with pytest.raises(ValueError):
        ps.simulate(ps.Market(), [Keeper(entries)], hours=1, paths=2)


@pytest.mark.parametrize("factor", [2.0, -0.5])
def test_a_rule_may_not_raise_or_turn_an_order(factor):
    class Bold(ps.Rule):
        def limit(self, wants, view, mine):
            return {name: factor * want for name, want in wants.items()}

    with pytest.raises(ValueError, match=r"limit \(rule\) must not raise the order of 'Herd'"):
        ps.simulate(ps.Market(), [ps.Herd(1e6)], [ps.News(-0.05)], [Bold()], hours=1)
