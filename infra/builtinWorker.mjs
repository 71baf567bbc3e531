// Node 20 cannot start a worker from a .ts file, also not under tsx: this loads the real entry.
import { register } from 'tsx/esm/api';

register();
await import('./builtinWorker.ts');
