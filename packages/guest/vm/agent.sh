# Does what the host asks for, a line a wish, and answers each with a line. Only the host can write to this
# port: nothing of the instance sees it.
wish() {
  case "$1" in
    clock) date -u -s "@$2" > /dev/null ;;
    seed) echo "$2" > /dev/urandom ;;
    network) sh /vm/network.sh "$2" "$3" ;;
    memory) sh /vm/memory.sh ;;
    *) return 1 ;;
  esac
}
while :; do
  while read -r id words; do
    # unquoted: each word is one of the wish's
    if said=$(wish $words 2>&1); then echo "$id ok $said"; else echo "$id failed $said"; fi
  done
  # nobody is at the other end: the daemon is being started anew
  sleep 1
done
