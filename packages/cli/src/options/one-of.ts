import { InvalidArgumentError } from "commander";

/** A word out of a few. */
export const oneOf =
  <T extends string>(words: readonly T[]) =>
  (text: string): T => {
    const found = words.find((word) => word === text);
    if (found === undefined) throw new InvalidArgumentError(`it is one of ${words.join(", ")}`);
    return found;
  };
