"""log-events.py ENDPOINT REGION GROUP: prints what a log group holds, as boto3 reads it: one JSON
object a line, the group first, then each event in the order of its stream."""

import json
import sys

import boto3

endpoint, region, group = sys.argv[1:]
logs = boto3.client("logs", endpoint_url=endpoint, region_name=region)


def show(value):
    print(json.dumps(value))


def all_of(operation, key, **arguments):
    for page in logs.get_paginator(operation).paginate(**arguments):
        yield from page[key]


def events_of(stream):
    """All pages: the last one gives the token that it was asked with."""
    token = {}
    while True:
        page = logs.get_log_events(
            logGroupName=group, logStreamName=stream, startFromHead=True, **token
        )
        yield from page["events"]
        if page["nextForwardToken"] == token.get("nextToken"):
            return
        token = {"nextToken": page["nextForwardToken"]}


for known in all_of("describe_log_groups", "logGroups", logGroupNamePrefix=group):
    if known["logGroupName"] == group:
        arn = known["arn"].removesuffix(":*")
        tags = logs.list_tags_for_resource(resourceArn=arn)["tags"]
        show({"retention": known.get("retentionInDays"), "tags": tags})
        for stream in all_of("describe_log_streams", "logStreams", logGroupName=group):
            for event in events_of(stream["logStreamName"]):
                show({
                    "stream": stream["logStreamName"],
                    "time": event["timestamp"],
                    "message": event["message"],
                })
