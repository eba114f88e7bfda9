import type { BotApiDouble, BotMessage } from "./bot-api-double.ts";

const ANSWER_MS = 120_000;

/** The numbers of the questions that a message of the bot's answers: `a7` is the answer to `q7`. */
const answersIn = ({ text }: Pick<BotMessage, "text">): number[] =>
  [...text.matchAll(/\ba(\d+)\b/g)].map(([, n]) => Number(n));

/** People who ask a bot numbered questions over Telegram, which an echo model answers: each answer can be counted. */
export class Conversation {
  readonly #telegram: BotApiDouble;
  readonly #people: readonly [number, ...number[]];
  /** who asked what, by its number */
  readonly #askedBy: number[] = [];

  /** @param people as Telegram numbers them */
  constructor(telegram: BotApiDouble, people: readonly [number, ...number[]]) {
    this.#telegram = telegram;
    this.#people = people;
  }

  /** How many questions there are so far. */
  get length(): number {
    return this.#askedBy.length;
  }

  /** @param person by default one after the other @returns the question's number */
  ask(person = this.#people[this.length % this.#people.length] ?? this.#people[0]): number {
    const question = this.note(person);
    this.#telegram.say(`q${question}`, person);
    return question;
  }

  /** For a question that reaches the bot by other means. @returns its number */
  note(person: number): number {
    return this.#askedBy.push(person) - 1;
  }

  answered(question: number): Promise<BotMessage> {
    return this.#telegram.waitForMessage((message) => answersIn(message).includes(question), ANSWER_MS);
  }

  async allAnswered(): Promise<void> {
    for (const question of this.#askedBy.keys()) await this.answered(question);
  }

  /** In the order in which they came, with those that came twice. */
  answersTo(chat: number): number[] {
    return this.#telegram.messages.filter(({ chatId }) => chatId === chat).flatMap(answersIn);
  }

  questionsOf(person: number): number[] {
    return [...this.#askedBy.keys()].filter((question) => this.#askedBy[question] === person);
  }
}
