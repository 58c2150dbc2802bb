"""Log groups."""

from . import describes, upper


@describes("AWS::Logs::LogGroup")
def log_group(client, physical_id, properties):
    groups = client("logs").describe_log_groups(logGroupNamePrefix=physical_id)["logGroups"]
    return upper(next(each for each in groups if each["logGroupName"] == physical_id))


@describes("AWS::Logs::MetricFilter")
def metric_filter(client, physical_id, properties):
    filters = client("logs").describe_metric_filters(logGroupName=properties["LogGroupName"])["metricFilters"]
    return upper(next(each for each in filters if each["filterName"] == physical_id))
