"""Rules of EventBridge."""

from . import describes, document


@describes("AWS::Events::Rule")
def event_rule(client, physical_id, properties):
    events = client("events")
    name = properties["Name"]
    found = events.describe_rule(Name=name)
    targets = events.list_targets_by_rule(Rule=name)["Targets"]
    return found | {"EventPattern": document(found["EventPattern"]), "Targets": targets}
