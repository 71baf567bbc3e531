/**
 * A generator whose `return` does not wait for the `next` under way: that one waits for news, and what came first would
 * go to somebody who has left.
 */
export function leavable<T>(
  given: AbortSignal,
  generate: (signal: AbortSignal) => AsyncGenerator<T>,
): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const left = new AbortController();
      const inner = generate(AbortSignal.any([given, left.signal]));
      return {
        next: () => inner.next(),
        return() {
          left.abort();
          return inner.return(undefined);
        },
      };
    },
  };
}
