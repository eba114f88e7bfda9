import { chatOf, senderOf, type Update } from "../delivery/lane-of.ts";

/** Whether an update may wake the bot. */
export type Welcome = (update: Update) => boolean;

interface Guests {
  /** user ids; absent: everybody */
  allowFrom?: readonly number[];
  /** group chats that the bot takes part in; absent: all */
  groups?: readonly number[];
}

export function welcomeOf({ allowFrom, groups }: Guests): Welcome {
  const people = allowFrom ? new Set(allowFrom) : null;
  const rooms = groups ? new Set(groups) : null;
  return (update) => {
    const chat = chatOf(update);
    if (rooms !== null && chat !== null && chat < 0 && !rooms.has(chat)) return false;
    const sender = senderOf(update);
    return people === null || (sender !== null && people.has(sender));
  };
}
