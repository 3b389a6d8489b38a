"""The posterior density of the model with its gradient, compiled once and for all, in blocks that can be sampled apart.

``model`` declares the same density in PyMC, to be read and to be held against; a test keeps both equal. The hazards of
moving on and of being lost, the arrivals and the amounts share no parameter, so the posterior is a product of four
blocks, and each is sampled by itself: fewer dimensions a trajectory, longer steps. The functions here take data as
arguments, so nothing is compiled anew for another company or date, and numba keeps the machine code between processes.

A position ``q`` of a block is ``[e, (shape), z ...]``: standardised logs of the learned scales, for arrivals also of
the negative-binomial shape, then the whitened effects of its predictors (``whitening``). All come with a standard
normal prior but ``z``, whose prior is that of the effects it stands for.
"""

from __future__ import annotations

import numba
import numpy as np

from forecastlab.likelihood import hazard_logp

# A predictor as compiled code sees it: (mu, sigma, scale_of, log_unit, weight, mode, factor, factor_t, map, map_t,
# offset); mu and sigma of the log scales, scale_of the scale of each effect, one past the last for a fixed one.


@numba.njit(cache=True, nogil=True)
def _forward(e, z, predictor):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Log standard deviations of the effects, partly centred effects, table."""
    mu, sigma, scale_of, log_unit, weight, mode, factor, _, map_, _, offset = predictor
    n = len(mode)
    log_sd = np.empty(n)
    for i in range(n):
        j = scale_of[i]
        log_sd[i] = log_unit[i] + (mu[j] + sigma[j] * e[j] if j < len(mu) else 0.0)
    x = mode + np.dot(factor, z)
    theta = offset + np.dot(map_, np.exp((1.0 - weight) * log_sd) * x)
    return log_sd, x, theta


@numba.njit(cache=True, nogil=True)
def _backward(e, log_sd, x, grad_theta, predictor, grad_e, grad_z):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Prior of effects and scales; fills the gradients from the one by the table."""
    _, sigma, scale_of, _, weight, _, _, factor_t, _, map_t, _ = predictor
    stretch = np.exp((1.0 - weight) * log_sd)
    shrink = np.exp(-weight * log_sd)
    y = shrink * x
    grad_u = np.dot(map_t, grad_theta)
    grad_z[:] = np.dot(factor_t, stretch * grad_u - shrink * y)
    grad_log_sd = (1.0 - weight) * stretch * x * grad_u + weight * (y * y - 1.0)
    grad_e[:] = -e
    for i in range(len(x)):
        j = scale_of[i]
        if j < len(sigma):
            grad_e[j] += sigma[j] * grad_log_sd[i]
    return -0.5 * np.dot(y, y) - np.dot(weight, log_sd) - 0.5 * np.dot(e, e)


@numba.njit(cache=True, nogil=True)
def hazard_density(q, predictor, index, exposure, total):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return log density and gradient of the block ``moved`` or ``lost``; ``total``: events by table entry."""
    s = len(predictor[0])
    grad = np.empty_like(q)
    log_sd, x, theta = _forward(q[:s], q[s:], predictor)
    value, by_theta = hazard_logp(theta, index, exposure, total)
    return value + _backward(q[:s], log_sd, x, by_theta, predictor, grad[:s], grad[s:]), grad


@numba.njit(cache=True, nogil=True)
def arrival_density(q, predictor, shape_prior, week_entries, week_entries_t, week_seen, weekly, above):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return log density and gradient of the block ``arrival``; ``above[i]``: weeks with more than i arrivals."""
    s = len(predictor[0])
    grad = np.empty_like(q)
    log_sd, x, theta = _forward(q[:s], q[s + 1 :], predictor)
    shape = np.exp(shape_prior[0] + shape_prior[1] * q[s])
    mean = np.exp(np.dot(week_entries, theta) + week_seen)
    value, by_shape = 0.0, 0.0
    for i in range(len(above)):  # log Gamma(y + shape) - log Gamma(shape), summed over weeks
        value += above[i] * np.log(shape + i)
        by_shape += above[i] / (shape + i)
    by_log_mean = np.empty_like(mean)
    for w in range(len(mean)):
        y, m = weekly[w], mean[w]
        log_share = np.log(shape / (shape + m))
        value += shape * log_share + y * np.log(m / (shape + m))
        by_shape += log_share + (m - y) / (shape + m)
        by_log_mean[w] = shape * (y - m) / (shape + m)
    by_theta = np.dot(week_entries_t, by_log_mean)
    value += _backward(q[:s], log_sd, x, by_theta, predictor, grad[:s], grad[s + 1 :])
    grad[s] = shape_prior[1] * shape * by_shape - q[s]
    return value - 0.5 * q[s] ** 2, grad


@numba.njit(cache=True, nogil=True)
def amount_density(q, amount, spread, n, mean, squares):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Return log density and gradient of the block ``amount``: mean and log standard deviation of log amounts."""
    s1, s2, z1 = len(amount[0]), len(spread[0]), len(amount[5])
    grad = np.empty_like(q)
    e1, e2 = q[:s1], q[s1 : s1 + s2]
    log_sd1, x1, centre = _forward(e1, q[s1 + s2 : s1 + s2 + z1], amount)
    log_sd2, x2, width = _forward(e2, q[s1 + s2 + z1 :], spread)
    precision = np.exp(-2.0 * width)
    error = mean - centre
    scaled = (squares + n * error**2) * precision
    value = -np.dot(n, width) - 0.5 * scaled.sum()
    value += _backward(e1, log_sd1, x1, n * error * precision, amount, grad[:s1], grad[s1 + s2 : s1 + s2 + z1])
    value += _backward(e2, log_sd2, x2, scaled - n, spread, grad[s1 : s1 + s2], grad[s1 + s2 + z1 :])
    return value, grad
