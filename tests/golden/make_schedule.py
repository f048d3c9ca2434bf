"""Write schedule.json: the table that every implementation of the schedule is held against.

The maths is written out here in another form than in the code (half angles, weights of both
neighbours, exact fractions), so that the file does not repeat a mistake of it. Run it only when the
definition itself changes.
"""

import json
import math
from fractions import Fraction
from pathlib import Path


def height(shape, u, points):
    """The shape's height at u: of the straight ones by their corners, of the round ones by the
    sine and cosine of half the angle."""
    sine, cosine = math.sin(math.pi * u / 2), math.cos(math.pi * u / 2)
    if shape in ("bump", "cosine"):
        return 2 * sine * cosine if shape == "bump" else cosine * cosine
    corners = {
        "constant": [(0, 1), (1, 1)],
        "ramp_up": [(0, 0), (1, 1)],
        "ramp_down": [(0, 1), (1, 0)],
        "curve": points,
    }[shape]
    passed = [corner for corner in corners if corner[0] <= u]
    coming = [corner for corner in corners if corner[0] > u]
    if not passed or not coming:
        return float(passed[-1][1] if passed else coming[0][1])
    (u0, v0), (u1, v1), at = passed[-1], coming[0], Fraction(u)
    left, right = at - Fraction(u0), Fraction(u1) - at
    return float((Fraction(v0) * right + Fraction(v1) * left) / (left + right))


def lam(case, progress):
    """The bypass at a progress, from its definition: a half-open window, 1 means to the end."""
    start, end = case["start_percent"], case["end_percent"]
    if progress < start or (progress >= end and end != 1):
        return 0.0
    return case["strength"] * height(
        case["shape"], (progress - start) / (end - start), case["points"]
    )


def sd_sigmas():
    """Stable Diffusion's sigmas, with the product of the alphas in exact fractions' floats."""
    betas = [
        (math.sqrt(0.00085) + (math.sqrt(0.012) - math.sqrt(0.00085)) * i / 999) ** 2
        for i in range(1000)
    ]
    kept, sigmas = 1.0, []
    for beta in betas:
        kept *= 1 - beta
        sigmas.append(math.sqrt((1 - kept) / kept))
    return sigmas


def progress_by_sigma(sigmas, sigma):
    """Linear in log sigma between two entries of the table, held at its ends."""
    if sigma >= sigmas[-1]:
        return 0.0
    if sigma <= sigmas[0]:
        return 1.0
    below = max(i for i, entry in enumerate(sigmas) if entry <= sigma)
    part = math.log(sigma / sigmas[below]) / math.log(sigmas[below + 1] / sigmas[below])
    return 1 - (below + part) / (len(sigmas) - 1)


def progress_by_step(run, sigma):
    """The fractional step divided by the number of steps; what is next to a step is that step."""
    steps = len(run) - 1
    for i, step in enumerate(run):
        if abs(sigma - step) < 1e-5 * step:
            return i / steps
    if sigma >= run[0]:
        return 0.0
    for i in range(steps):
        high, low = run[i], run[i + 1]
        if low < sigma <= high:
            part = (
                (high - sigma) / (high - low)
                if low == 0
                else math.log(high / sigma) / math.log(high / low)
            )
            return (i + part) / steps
    return 1.0


def main():
    """Write the file beside this one."""
    curve = [[0.0, 1.0], [0.25, 0.5], [0.25, -0.5], [0.5, 0.6], [0.9, 0.0]]
    places = [float(Fraction(i, 40)) for i in range(41)]
    cases = []
    for shape in ("constant", "ramp_up", "ramp_down", "bump", "cosine", "curve"):
        for strength, start, end in (
            (1.0, 0.0, 0.35),
            (0.5, 0.2, 0.7),
            (-0.3, 0.0, 1.0),
            (0.8, 0.5, 1.0),
        ):
            case = {
                "strength": strength,
                "shape": shape,
                "start_percent": start,
                "end_percent": end,
                "points": curve if shape == "curve" else [],
            }
            cases.append({**case, "lam": [lam(case, place) for place in places]})
    sigmas = sd_sigmas()
    probes = [0.0, 0.02, 0.029, 0.1, 0.344, 0.695, 1.0, 1.616, 2.5, 4.086, 8.307, 14.6, 20.0]
    run = [14.614641, 7.0, 2.918, 0.932, 0.029, 0.0]
    in_run = [20.0, 14.614641, 10.0, 7.728, 7.0, 4.086, 2.918, 1.0, 0.5, 0.029, 0.01, 0.0]
    in_run += [
        step * near for step in run[1:4] for near in (1 - 9e-6, 1 + 9e-6, 1 - 2e-5, 1 + 2e-5)
    ]
    table = {
        "places": places,
        "schedules": cases,
        "sd_sigmas": {"first": sigmas[0], "middle": sigmas[500], "last": sigmas[-1]},
        "by_sigma": [[sigma, progress_by_sigma(sigmas, sigma)] for sigma in probes],
        "run": run,
        "by_step": [[sigma, progress_by_step(run, sigma)] for sigma in in_run],
    }
    path = Path(__file__).with_name("schedule.json")
    path.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
