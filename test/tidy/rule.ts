/** What a tidy rule is, and the source it looks at. */
import ts from 'typescript';

/** A file of the project, its path from the root with forward slashes. */
export interface Source {
  readonly path: string;
  readonly text: string;
  /** Of TypeScript and JavaScript only. */
  readonly tree: ts.SourceFile | null;
}

export interface Rule {
  readonly name: string;
  /** What is wrong in the file, each with the line (from 1). */
  check(source: Source): Finding[];
  /** Sources in which the rule must find something: a rule that finds nothing anywhere proves nothing. */
  readonly caught: readonly { readonly path: string; readonly text: string }[];
  /** Sources that look alike and are fine. */
  readonly fine: readonly { readonly path: string; readonly text: string }[];
}

export interface Finding {
  readonly line: number;
  readonly says: string;
}

/** A source ready to be checked. */
export function sourceOf(path: string, text: string): Source {
  const code = /\.(ts|tsx|mjs|js)$/.test(path);
  const kind = /\.(mjs|js)$/.test(path) ? ts.ScriptKind.JS : undefined;
  return { path, text, tree: code ? ts.createSourceFile(path, text, ts.ScriptTarget.ESNext, true, kind) : null };
}

/** A finding at a node. */
export function at(node: ts.Node, says: string): Finding {
  const file = node.getSourceFile();
  return { line: file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1, says };
}

/** Every node of a kind, outermost first, in the order of the source. */
export function nodes<T extends ts.Node>(tree: ts.Node | null, is: (node: ts.Node) => node is T): T[] {
  const found: T[] = [];
  const visit = (node: ts.Node): void => {
    if (is(node)) found.push(node);
    ts.forEachChild(node, visit);
  };
  if (tree) visit(tree);
  return found;
}

/** For `nodes`: every node. */
export function isNode(_node: ts.Node): _node is ts.Node {
  return true;
}

/** The top folder of a path, '' for files in the root. */
export function topFolder(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : '';
}
