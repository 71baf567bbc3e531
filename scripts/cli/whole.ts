import { InvalidArgumentError } from 'commander';

/** Reads a whole number of an option, both bounds inclusive. @returns what commander calls; it throws for anything else. */
export function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max)
      throw new InvalidArgumentError(`a whole number from ${min} to ${max}`);
    return value;
  };
}
