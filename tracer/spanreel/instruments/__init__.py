"""Libraries whose work is seen in their own calls, because no HTTP of a provider's passes: one file each.

Vector stores, local models, frameworks, MCP. A new library is one file with `install(module)` and one line in
`HOOKS`; they are put in at the first traced entry, together with those of `wire`. (The folder is not called
`instrument`: that is a public function, which a submodule of its name would overwrite.)
"""

from __future__ import annotations

from spanreel.hooks import Hook, Hooks, Outcome

__all__ = ["HOOKS", "LIBRARIES", "Hook", "Outcome", "hooks", "install", "outcomes", "uninstall"]

HOOKS: tuple[Hook, ...] = ()

hooks = Hooks("instruments", HOOKS)
LIBRARIES = hooks.libraries
install = hooks.install
uninstall = hooks.uninstall
outcomes = hooks.outcomes
