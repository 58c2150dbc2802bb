"""Rules on the resolved templates of deploy/aws: one module per stack, named after the stack, and `every` for all.

To add a rule, write a function in the module of the stack. The function gets the resolved `Stack` and yields the
problems. The decorator names changes of the real template that break the rule; each has to make the rule report:

    @rule(remove("Database.MultiAZ"), put("Database.MultiAZ", False))
    def the_database_survives_the_loss_of_a_zone(stack):
        for name, properties in stack.of_type("AWS::RDS::DBInstance"):
            if properties.get("MultiAZ") is not True:
                yield f"{name}: MultiAZ is not true"

Rules run on the templates of staging and production, changes on production only. `stack.environment` tells them apart.
A rule of `every` names the stack of a change: `@rule(network=[remove("FlowLog")])`.

scripts/deploy_check/mutation.py removes each property of each resource: the rules have to report the removal, or
scripts/deploy_check/unguarded.txt has to list the property with a reason.
"""

import importlib
import pkgutil
from dataclasses import dataclass, field


@dataclass
class Rule:
    """A rule, and by stack the changes that break the rule."""

    check: object
    breaks: dict = field(default_factory=dict)

    @property
    def name(self):
        return self.check.__name__.replace("_", " ")

    def problems(self, stack):
        return list(self.check(stack))


def rule(*breaks, **breaks_by_stack):
    """Registers a rule with the changes that break the rule."""

    def register(check):
        module = check.__module__.rpartition(".")[2]
        if not breaks and not breaks_by_stack:
            raise ValueError(f"the rule {check.__name__} has no change that breaks the rule")
        check.rule = Rule(check, breaks_by_stack or {module: list(breaks)})
        return check

    return register


def rules_of(stack):
    """Returns the rules of a stack: those of its module, and those for every stack."""
    known = {module.name for module in pkgutil.iter_modules(__path__)}
    modules = [importlib.import_module(f"{__name__}.{name}") for name in ("every", stack) if name in known]
    return [each.rule for module in modules for each in vars(module).values() if hasattr(each, "rule")]


def statements(document):
    """Returns the statements of a policy as a list."""
    found = document.get("Statement", [])
    return found if isinstance(found, list) else [found]


def listed(value):
    """Returns a value as a list: policies write one element without a list."""
    return value if isinstance(value, list) else [value]
