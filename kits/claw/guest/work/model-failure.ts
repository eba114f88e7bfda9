/** A refusal of the model's provider, as the tap between it and the agent saw it. */
export interface ModelRefusal {
  /** 0: there was no answer */
  status: number;
  /** beginning of the answer */
  body: string;
}

const CONTEXT =
  /context.{0,20}(length|window|size|limit|overflow)|maximum context|too many (input )?tokens|prompt is too long/i;
const NO_CREDIT = /insufficient.{0,10}(quota|credit|balance|funds)|billing|credit balance/i;
/** the host itself has counted enough */
const BUDGET = /quota_exceeded/;
const SHOWN = 200;

/** What went wrong with the model, and what the person can do about it. @returns null when it is none of its troubles */
export function modelFailure({ status, body }: ModelRefusal): string | null {
  if (CONTEXT.test(body) || status === 413)
    return "the task grew larger than what the model can read at once. Ask for less at a time, or take a model with a larger context.";
  if (BUDGET.test(body)) return "the budget for the model that was set on the host is used up.";
  if (status === 402 || NO_CREDIT.test(body))
    return "the model's provider says that there is no credit left. Top it up with the provider, then try again.";
  if (status === 401 || status === 403)
    return `the model's provider refused the key (${status}). Put a valid one into the settings of the bot, then try again.`;
  if (status === 404) return `the model's provider does not know the model (404): ${reason(body)}`;
  if (status === 429) return "the model's provider takes no more requests for now (429). Try again in a few minutes.";
  if (status >= 500) return `the model's provider has trouble of its own (${status}). Try again later.`;
  if (status === 0) return "the model could not be reached. Is it there, and is the machine online?";
  return status >= 400 ? `the model's provider refused the request (${status}): ${reason(body)}` : null;
}

/** The provider's own words, which each has in a place of its own. */
function reason(body: string): string {
  const [, message] = /"message"\s*:\s*"((?:[^"\\]|\\.)*)"/.exec(body) ?? [];
  return (message ?? body).slice(0, SHOWN);
}
