import { element } from "./message-view.js";

const suggestions = ["build me a website about lobsters", "run uname -a", "show me the logs", "stop it"];

/**
 * The form at the bottom: text, file and suggestions.
 * @param {{
 *   form: HTMLFormElement, text: HTMLTextAreaElement, file: HTMLInputElement, chips: HTMLElement,
 *   onText: (text: string) => Promise<void>, onFile: (file: File, caption: string) => Promise<void>,
 *   onFailure: (error: unknown) => void,
 * }} parts
 */
export function setUpComposer({ form, text, file, chips, onText, onFile, onFailure }) {
  const send = form.querySelector("button");

  const refresh = () => {
    if (send) send.disabled = text.value.trim() === "";
    text.style.height = "auto";
    text.style.height = `${text.scrollHeight}px`;
  };

  /** @param {Promise<void>} sending */
  const settle = async (sending) => {
    const draft = text.value;
    text.value = "";
    refresh();
    try {
      await sending;
    } catch (error) {
      // nothing that was written is lost
      text.value ||= draft;
      refresh();
      onFailure(error);
    }
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const written = text.value.trim();
    if (written !== "") void settle(onText(written));
    text.focus();
  });
  text.addEventListener("input", refresh);
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  file.addEventListener("change", () => {
    const [chosen] = file.files ?? [];
    if (chosen) void settle(onFile(chosen, text.value.trim()));
    file.value = "";
  });

  for (const suggestion of suggestions) {
    const chip = element("button", "chip", suggestion);
    chip.type = "button";
    chip.addEventListener("click", () => void onText(suggestion).catch(onFailure));
    chips.append(chip);
  }
  refresh();
}
