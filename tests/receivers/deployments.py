"""deployments.py ecs|nomad|compose: looks at files of deploy/ with the eyes of those who take them:
botocore and moto for ECS and IAM, an HCL parser for Nomad, a YAML parser for what compose prints.
Complains on standard error and exits with 1."""

import json
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
# What README.md says that the role needs.
ACTIONS = {
    "logs:PutLogEvents",
    "logs:CreateLogStream",
    "logs:CreateLogGroup",
    "logs:PutRetentionPolicy",
    "logs:TagResource",
}
MOUNTS = {"/var/run/docker.sock": True, "/var/lib/docker/containers": True, "/var/lib/downspout": False}
HEALTH = ["CMD", "/downspout", "healthcheck"]
complaints = []


def expect(what, found, wanted):
    if found != wanted:
        complaints.append(f"{what} is {found!r} and should be {wanted!r}")


def ecs():
    import boto3
    import botocore.session
    from moto import mock_aws

    definition = json.loads((DEPLOY / "ecs/task-definition.json").read_text())
    policy = json.loads((DEPLOY / "ecs/iam-policy.json").read_text())
    trust = json.loads((DEPLOY / "ecs/trust-policy.json").read_text())
    with mock_aws():
        # botocore refuses keys and types that are not in AWS's model; moto refuses policies.
        iam = boto3.client("iam", region_name="us-east-1")
        role = iam.create_role(RoleName="downspout", AssumeRolePolicyDocument=json.dumps(trust))
        iam.create_policy(PolicyName="downspout", PolicyDocument=json.dumps(policy))
        ecs = boto3.client("ecs", region_name="eu-west-1")
        taken = ecs.register_task_definition(**definition)["taskDefinition"]
        ecs.create_cluster(clusterName="hosts")
        service = ecs.create_service(
            cluster="hosts", serviceName="downspout", taskDefinition="downspout", schedulingStrategy="DAEMON"
        )["service"]
    expect("the role", definition["taskRoleArn"], role["Role"]["Arn"])
    expect("the scheduling", service["schedulingStrategy"], "DAEMON")
    for key in ("family", "networkMode", "volumes", "requiresCompatibilities", "taskRoleArn"):
        expect(f"moto's {key}", taken[key], definition[key])

    statements = policy["Statement"]
    expect("all actions", {action for each in statements for action in each["Action"]}, ACTIONS)
    operations = botocore.session.get_session().get_service_model("logs").operation_names
    for action in ACTIONS:
        if action.removeprefix("logs:") not in operations:
            complaints.append(f"{action} is no operation of CloudWatch Logs")
    for each in statements:
        expect("the resource's group", each["Resource"].split(":log-group:")[1], "/docker/*")

    (container,) = definition["containerDefinitions"]
    expect("read-only", container["readonlyRootFilesystem"], True)
    expect("privileged", container["privileged"], False)
    expect("capabilities", container["linuxParameters"]["capabilities"], {"drop": ["ALL"]})
    expect("the health check", container["healthCheck"]["command"], HEALTH)
    expect("mounts", {each["containerPath"]: each["readOnly"] for each in container["mountPoints"]}, MOUNTS)
    sources = {each["sourceVolume"] for each in container["mountPoints"]}
    expect("the volumes", {each["name"] for each in definition["volumes"]}, sources)


def plain(value):
    """The parser keeps the quotes of strings, and adds keys of its own."""
    if isinstance(value, dict):
        return {plain(key): plain(each) for key, each in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


def nomad():
    import hcl2

    with (DEPLOY / "nomad.hcl").open() as file:
        parsed = plain(hcl2.load(file))
    job = parsed["job"][0]["downspout"]
    group = job["group"][0]["downspout"]
    task = group["task"][0]["downspout"]
    config = task["config"][0]
    expect("the type", job["type"], "system")
    expect("the driver", task["driver"], "docker")
    expect("read-only", config["readonly_rootfs"], True)
    expect("capabilities", config["cap_drop"], ["all"])
    expect("mounts", {each["target"]: each.get("readonly", False) for each in config["mount"]}, MOUNTS)
    expect("the check", group["service"][0]["check"][0]["path"], "/livez")
    declared = {name for each in parsed["variable"] for name in each}
    text = (DEPLOY / "nomad.hcl").read_text()
    used = {part.split("}")[0] for part in text.split("${var.")[1:]}
    expect("the variables", used, declared)


def compose():
    """What `compose config` made of a file comes on standard input."""
    import yaml

    services = yaml.safe_load(sys.stdin)["services"]
    agent = services["downspout"]
    expect("read-only", agent["read_only"], True)
    expect("the health check", agent["healthcheck"]["test"], HEALTH)
    for name, service in services.items():
        expect(f"capabilities of {name}", service["cap_drop"], ["ALL"])
        if service.get("privileged") or service.get("cap_add"):
            complaints.append(f"{name} has privileges")
        if service.get("read_only") is not True:
            complaints.append(f"the root of {name} is writable")


if __name__ == "__main__":
    {"ecs": ecs, "nomad": nomad, "compose": compose}[sys.argv[1]]()
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    sys.exit(1 if complaints else 0)
