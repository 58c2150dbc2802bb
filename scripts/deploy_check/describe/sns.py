"""Topics, their policies and subscriptions."""

from . import describes, document


@describes("AWS::SNS::Topic")
def topic(client, physical_id, properties):
    found = client("sns").get_topic_attributes(TopicArn=physical_id)["Attributes"]
    return found | {"TopicName": found["TopicArn"].rpartition(":")[2]}


@describes("AWS::SNS::TopicPolicy")
def topic_policy(client, physical_id, properties):
    found = [client("sns").get_topic_attributes(TopicArn=each)["Attributes"] for each in properties["Topics"]]
    return {"Topics": [each["TopicArn"] for each in found], "PolicyDocument": document(found[0]["Policy"])}


@describes("AWS::SNS::Subscription")
def subscription(client, physical_id, properties):
    found = client("sns").list_subscriptions_by_topic(TopicArn=properties["TopicArn"])["Subscriptions"]
    return next(each for each in found if each["Endpoint"] == properties["Endpoint"])
