"""The model once more, in slow and plain loops that share nothing with the package but the supply curves."""

import numpy as np

import panicsim as ps

LAMBDA = 2e6  # coins per unit of log price in the running market: $2M per 1 %, $100


class Linear(ps.Participant):
    """A reader's own participant: a straight line both ways, one step late whatever its sign."""

    def __init__(self, gain):
        self.gain = gain

    def sold_by(self, fall, market):
        return self.gain * LAMBDA * np.asarray(fall)

    def react(self, view, mine):
        return view.done - self.sold_by(view.fall, view.market)


class Steps(ps.Participant):
    """Sells (or, where negative, buys) so many coins at each level."""

    def __init__(self, levels, coins):
        self.levels, self.coins = np.asarray(levels, dtype=float), np.asarray(coins, dtype=float)

    def sold_by(self, fall, market):
        fall = np.asarray(fall, dtype=float)
        return ((fall[..., None] >= self.levels) * self.coins).sum(axis=-1)


class Bent(ps.Participant):
    """A curve of straight pieces, up or down, through given corners."""

    def __init__(self, falls, coins):
        self.falls, self.coins = falls, coins

    def sold_by(self, fall, market):
        return np.interp(fall, self.falls, self.coins)


def supply(crowd, x, market=None):
    return sum((p.sold_by(x, market or ps.Market()) for p in crowd), np.zeros(np.shape(x)))


def crossing(crowd, shock, top=3.0, cells=30_000, market=None):
    """First x with V(x) - F(x) >= V(s) on a grid, then bisection in the cell before it."""
    market = market or ps.Market()
    hit = market.absorbed(shock)

    def stopped(x):
        return market.absorbed(x) - supply(crowd, x, market) >= hit

    x = np.linspace(0, top, cells + 1)
    there = stopped(x)
    if not there.any():
        return np.inf
    k = int(np.argmax(there))
    low, high = x[max(k - 1, 0)], x[k]
    for _ in range(60 if k else 0):
        middle = (low + high) / 2
        low, high = (low, middle) if stopped(middle) else (middle, high)
    return high


def film(market, crowd, moves, sales, dt, bids=()):
    """One path, step by step, written from the contract; `bids` answer by bisection. Returns log falls."""
    kappa, phi, depth = market.recovery, market.permanent, market.depth / (0.01 * market.price)
    x, v = [0.0], [0.0]
    sold = dict.fromkeys(range(len(crowd)), 0.0)
    worst = dict.fromkeys(range(len(crowd)), 0.0)
    for move, sale in zip(moves, sales, strict=True):
        fall, value, coins = x[-1], v[-1], sale
        for i, p in enumerate(crowd):
            worst[i] = max(worst[i], fall)
            if p not in bids:
                seen = worst[i] if p.one_way else fall
                gap = float(p.sold_by(np.float64(seen), market)) - sold[i]
                order = gap * (1 - np.exp(-dt / p.lag)) if p.lag else gap
                sold[i] += order
                coins += order
        value += phi * coins / depth + move
        fall += coins / depth + move
        fall = value + (fall - value) * np.exp(-kappa * dt)
        if bids:

            def bought(y, i, p):
                return sold[i] - float(p.sold_by(np.float64(max(y, worst[i]) if p.one_way else y), market))

            low, high = fall - 2.0, fall + 2.0
            for _ in range(200):
                y = (low + high) / 2
                over = y + sum(bought(y, i, p) for i, p in enumerate(crowd) if p in bids) / depth > fall
                low, high = (low, y) if over else (y, high)
            for i, p in enumerate(crowd):
                if p in bids:
                    sold[i] -= bought(y, i, p)
            value += phi * (y - fall)
            fall = y
        x.append(fall)
        v.append(value)
    return np.array(x), np.array(v), sold


def coarser(noise, by):
    """The same Brownian path with steps that are `by` times as long."""
    steps, paths = noise.shape
    return noise.reshape(steps // by, by, paths).sum(axis=1) / np.sqrt(by)


def fill(price, coins, depth=LAMBDA):
    """Average price of selling coins into a book with a linear impact on the log price."""
    q = np.where(coins == 0, 1.0, coins) / depth
    return np.where(coins == 0, price, price * -np.expm1(-q) / q)
