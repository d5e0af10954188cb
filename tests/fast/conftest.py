"""How laws are tested here: the same examples in every run, and no clock that fails a slow machine.

`HYPOTHESIS_PROFILE=explore make fast` draws new examples instead.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_UNTIMED = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("project", deadline=None, derandomize=True, suppress_health_check=_UNTIMED)
settings.register_profile("explore", deadline=None, suppress_health_check=_UNTIMED, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "project"))
