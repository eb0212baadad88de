#!/usr/bin/env bash
# A load balancer in the default VPC, a Fargate cluster, a task definition, and a service of two tasks behind it: made
# with the AWS CLI as it is, one narrated command after another.
#
#   demo/walkthrough.sh            builds everything, asks both tasks, reads their log, removes everything
#   demo/walkthrough.sh --keep     the same, and leaves it running
#   demo/walkthrough.sh --remove   removes what --keep left
#
# Needs: aws, curl, and the variables of `longshore env`. AWS_ENDPOINT_OPTION=1 is for an aws older than 1.29 or 2.13.
# IMAGE: an image whose container answers HTTP on port 8080 with a body that differs from task to task.
# CURL=0 leaves out the requests and the log, for tasks that are simulated.
set -euo pipefail
: "${AWS_ENDPOINT_URL:?run  eval \"\$(longshore env)\"  first}"
export AWS_PAGER="" AWS_DEFAULT_REGION="${AWS_DEFAULT_REGION:-us-east-1}"

readonly LB=FargateLoadBalancer TARGETS=FargateTargetGroup CLUSTER=fargate-cluster SERVICE=FargateDemoService
readonly FAMILY=python-web-app LOG_GROUP=/ecs/python-web-app LB_GROUP=longshore-demo-lb TASK_GROUP=longshore-demo-task

if [[ -t 1 && -z "${NO_COLOR:-}" ]]; then bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'; else bold='' dim='' off=''; fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A sentence that says what the next commands show.
say() { printf '\n%s%s%s\n' "$bold" "$*" "$off" >&2; }

# Runs a command after showing it.
run() {
  show "$@"
  "$@"
}

# Prints a command as one would type it, broken before options into lines that fit a terminal.
show() {
  local line='  $' part='' word
  for word in "$@" --; do
    if [[ "$word" == --* ]]; then
      if ((${#line} + ${#part} > 116)); then
        printf '%s%s \\%s\n' "$dim" "$line" "$off" >&2
        line='     '
      fi
      line+=$part part=''
    fi
    if [[ "$word" == *[^a-zA-Z0-9_./:=,@-]* ]]; then word="'$word'"; fi
    part+=" $word"
  done
  printf '%s%s%s\n' "$dim" "$line" "$off" >&2
}

# CLIs from before AWS_ENDPOINT_URL take the address as an option.
if [[ -n "${AWS_ENDPOINT_OPTION:-}" ]]; then
  aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }
fi

fail() {
  printf '\nwalk-through failed: %s\n' "$*" >&2
  exit 1
}

find_things() {
  vpc=$(run aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)
  read -r subnet1 subnet2 < <(run aws ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" --query 'Subnets[:2].SubnetId' --output text)
  echo "  $vpc with $subnet1 and $subnet2" >&2
}

make_network() {
  say "Every account has a default VPC with a subnet in each zone. The load balancer and the tasks go there."
  find_things
  say "Two security groups: anybody may reach the load balancer on port 80; only the load balancer may reach the tasks."
  lb_sg=$(run aws ec2 create-security-group --group-name "$LB_GROUP" --description "port 80 in" --vpc-id "$vpc" --query GroupId --output text)
  run aws ec2 authorize-security-group-ingress --group-id "$lb_sg" --protocol tcp --port 80 --cidr 0.0.0.0/0 >/dev/null
  task_sg=$(run aws ec2 create-security-group --group-name "$TASK_GROUP" --description "port 8080 from the load balancer" --vpc-id "$vpc" --query GroupId --output text)
  run aws ec2 authorize-security-group-ingress --group-id "$task_sg" --protocol tcp --port 8080 --source-group "$lb_sg" >/dev/null
}

make_roles() {
  say "Two roles that tasks may assume: one for the application, one for what ECS does on its behalf."
  local trust='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
  for role in PythonECSTask ecsTaskExecutionRole; do
    aws iam get-role --role-name "$role" >/dev/null 2>&1 ||
      run aws iam create-role --role-name "$role" --assume-role-policy-document "$trust" >/dev/null
  done
  run aws iam attach-role-policy --role-name ecsTaskExecutionRole \
    --policy-arn arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy
}

make_load_balancer() {
  say "An application load balancer, a target group that takes IP addresses, and a listener on port 80."
  lb=$(run aws elbv2 create-load-balancer --name "$LB" --subnets "$subnet1" "$subnet2" --security-groups "$lb_sg" \
    --scheme internet-facing --type application --ip-address-type ipv4 --query 'LoadBalancers[0].LoadBalancerArn' --output text)
  tg=$(run aws elbv2 create-target-group --name "$TARGETS" --protocol HTTP --port 8080 --vpc-id "$vpc" --target-type ip \
    --query 'TargetGroups[0].TargetGroupArn' --output text)
  # 300 s is the default, and a task is stopped only after it.
  run aws elbv2 modify-target-group-attributes --target-group-arn "$tg" \
    --attributes Key=deregistration_delay.timeout_seconds,Value=5 >/dev/null
  run aws elbv2 create-listener --load-balancer-arn "$lb" --protocol HTTP --port 80 \
    --default-actions "Type=forward,TargetGroupArn=$tg" >/dev/null
}

make_task_definition() {
  say "A cluster, and a task definition: half a vCPU, one GiB, one container whose output goes to CloudWatch Logs."
  cluster=$(run aws ecs create-cluster --cluster-name "$CLUSTER" --settings name=containerInsights,value=enabled --query cluster.clusterArn --output text)
  local account
  account=$(run aws sts get-caller-identity --query Account --output text)
  cat >"$work/containers.json" <<J
[{"name": "webapp", "image": "$IMAGE", "environment": [], "mountPoints": [],
  "portMappings": [{"protocol": "tcp", "containerPort": 8080, "hostPort": 8080}],
  "logConfiguration": {"logDriver": "awslogs", "options": {"awslogs-group": "$LOG_GROUP", "awslogs-create-group": "true",
    "awslogs-region": "$AWS_DEFAULT_REGION", "awslogs-stream-prefix": "web"}}}]
J
  task_definition=$(run aws ecs register-task-definition --family "$FAMILY" \
    --task-role-arn "arn:aws:iam::$account:role/PythonECSTask" --execution-role-arn "arn:aws:iam::$account:role/ecsTaskExecutionRole" \
    --network-mode awsvpc --requires-compatibilities FARGATE --cpu ".5vCPU" --memory "1GB" \
    --container-definitions "file://$work/containers.json" --query taskDefinition.taskDefinitionArn --output text)
}

make_service() {
  say "A service: two tasks, registered with the load balancer as they start."
  cat >"$work/load-balancers.json" <<J
[{"targetGroupArn": "$tg", "containerName": "webapp", "containerPort": 8080}]
J
  cat >"$work/network.json" <<J
{"awsvpcConfiguration": {"subnets": ["$subnet1", "$subnet2"], "securityGroups": ["$task_sg"], "assignPublicIp": "ENABLED"}}
J
  run aws ecs create-service --cluster "$cluster" --service-name "$SERVICE" --task-definition "$task_definition" \
    --desired-count 2 --launch-type FARGATE --scheduling-strategy REPLICA --deployment-controller type=ECS \
    --load-balancers "file://$work/load-balancers.json" --network-configuration "file://$work/network.json" >/dev/null
  run aws ecs list-services --cluster "$CLUSTER" --query 'serviceArns[0]' --output text | sed 's/^/  /'
  say "The CLI's own waiters say when it is up."
  run aws ecs wait services-stable --cluster "$cluster" --services "$SERVICE"
  run aws elbv2 wait target-in-service --target-group-arn "$tg"
}

ask_tasks() {
  say "Twenty requests through the load balancer's DNS name. Each task answers with its own host name."
  dns=$(run aws elbv2 describe-load-balancers --load-balancer-arns "$lb" --query 'LoadBalancers[0].DNSName' --output text)
  printf '%s  $ for i in $(seq 20); do curl -s http://%s/; done | sort | uniq -c%s\n' "$dim" "$dns" "$off" >&2
  for _ in $(seq 20); do curl -fsS --max-time 5 "http://$dns/"; done | sort | uniq -c | tee "$work/answers"
  local answered
  answered=$(wc -l <"$work/answers")
  [[ "$answered" == 2 ]] || fail "expected answers of 2 tasks, saw $answered"
}

read_log() {
  say "What the tasks wrote on their standard output is in CloudWatch Logs, a stream each."
  run aws logs describe-log-streams --log-group-name "$LOG_GROUP" --query 'logStreams[].logStreamName' --output text |
    tr '\t' '\n' | sed 's/^/  /'
  local stream lines
  stream=$(aws logs describe-log-streams --log-group-name "$LOG_GROUP" --query 'logStreams[0].logStreamName' --output text)
  lines=$(run aws logs get-log-events --log-group-name "$LOG_GROUP" --log-stream-name "$stream" --limit 3 --query 'events[].message' --output text)
  printf '%s\n' "$lines" | tr '\t' '\n' | sed 's/^/  /'
  [[ -n "$lines" && "$lines" != None ]] || fail "the log has no lines"
}

remove() {
  say "Remove it all, in the order that AWS asks for."
  lb=$(aws elbv2 describe-load-balancers --names "$LB" --query 'LoadBalancers[0].LoadBalancerArn' --output text)
  tg=$(aws elbv2 describe-target-groups --names "$TARGETS" --query 'TargetGroups[0].TargetGroupArn' --output text)
  run aws ecs update-service --cluster "$CLUSTER" --service "$SERVICE" --desired-count 0 >/dev/null
  run aws ecs delete-service --cluster "$CLUSTER" --service "$SERVICE" --force >/dev/null
  run aws ecs wait services-inactive --cluster "$CLUSTER" --services "$SERVICE"
  run aws elbv2 delete-load-balancer --load-balancer-arn "$lb"
  run aws elbv2 wait load-balancers-deleted --load-balancer-arns "$lb"
  run aws elbv2 delete-target-group --target-group-arn "$tg"
  run aws ecs delete-cluster --cluster "$CLUSTER" >/dev/null
  for name in "$TASK_GROUP" "$LB_GROUP"; do
    local group
    group=$(aws ec2 describe-security-groups --filters "Name=group-name,Values=$name" --query 'SecurityGroups[0].GroupId' --output text)
    run aws ec2 delete-security-group --group-id "$group" >/dev/null
  done
}

build() {
  : "${IMAGE:?name an image, as \`longshore image build\` prints it}"
  make_network
  make_roles
  make_load_balancer
  make_task_definition
  make_service
  if [[ "${CURL:-1}" != 0 ]]; then
    ask_tasks
    read_log
  fi
}

case "${1:-}" in
  --keep) build ;;
  --remove) remove ;;
  '')
    build
    remove
    say "Walk-through passed."
    ;;
  *) fail "$1: there are --keep and --remove" ;;
esac
