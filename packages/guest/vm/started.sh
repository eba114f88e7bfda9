# The runtime tells, in JSON, what it has started; the first process of the instance is part of that.
state=
while read -r line || [ -n "$line" ]; do state=$state$line; done
pid=${state#*\"pid\":}
pid=${pid# }
echo "started ${pid%%[!0-9]*}" > /vm/events
