/** A stream of text as lines, each a JSON value: what agent and pulse, and agent and monitor, say to each other. */

export class JsonLines {
  readonly #longest: number;
  readonly #invalid: (what: string, cause?: unknown) => Error;
  /** Of the line that has begun: looked at once, and put together when it ends. */
  #parts: string[] = [];
  #length = 0;

  /** @param longest characters of a line @param invalid what is thrown for a line that is no JSON, or longer */
  constructor(longest: number, invalid: (what: string, cause?: unknown) => Error) {
    this.#longest = longest;
    this.#invalid = invalid;
  }

  /** Calls `listener` with the value of each line that ends in `text`. Throws `invalid`'s, and what `listener` throws; no more is to be taken then. */
  take(text: string, listener: (value: unknown) => void): void {
    for (let begin = 0, end; ; begin = end + 1) {
      end = text.indexOf('\n', begin);
      const part = end < 0 ? text.slice(begin) : text.slice(begin, end);
      this.#parts.push(part);
      this.#length += part.length;
      if (this.#length > this.#longest) throw this.#invalid(`a line of more than ${this.#longest} characters`);
      if (end < 0) return;
      const line = this.#parts.join('');
      this.#parts = [];
      this.#length = 0;
      listener(this.#parse(line));
    }
  }

  #parse(line: string): unknown {
    try {
      return JSON.parse(line);
    } catch (cause) {
      throw this.#invalid('a line that is no JSON', cause);
    }
  }
}
