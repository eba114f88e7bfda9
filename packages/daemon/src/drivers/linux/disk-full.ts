import { AegisError } from "@aegis/protocol/errors";

export const diskFull = (cause?: Error): AegisError =>
  new AegisError(
    "disk_full",
    "The instance cannot start: the disk is full. Free some space and start it again.",
    cause === undefined ? {} : { cause },
  );

/** Whether a tool of the host complains of the disk. */
export const saysDiskFull = (said: string): boolean => /no space left on device|disk quota exceeded/i.test(said);
