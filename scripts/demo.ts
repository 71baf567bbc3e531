export function demo(_o: {}): void {}
