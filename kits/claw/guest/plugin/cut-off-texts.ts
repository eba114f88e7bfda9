const LONGEST_QUOTE = 2000;
const QUOTE_FOR_USER = 200;

/** To the agent, which may have some of the messages in its transcript as well. */
export function cutOffNote(texts: string[]): string {
  return [
    "[A restart cut the bot off before these messages of this chat had an answer. Answer them now, before anything else and in their order. " +
      "What is answered or done above already is not to be done again.]",
    ...texts.map((text) => `- ${quote(text)}`),
  ].join("\n");
}

/** Begins a turn, to which the messages are named where they still wait when it begins. */
export const askText =
  "[A restart cut the bot off. Where messages of this chat wait for an answer, they are named here. Where none is named, answer with NO_REPLY alone.]";

/** To the user, when nothing came of it again and again. */
export const gaveUpText = (text: string): string =>
  `I was cut off each time I tried to answer this: “${quote(text).slice(0, QUOTE_FOR_USER)}” Please ask again.`;

const quote = (text: string): string => (text.trim() === "" ? "(a file without words)" : text.slice(0, LONGEST_QUOTE));
