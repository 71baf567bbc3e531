/** Sizes, names and constructs. */
import ts from 'typescript';
import { at, type Finding, isNode, nodes, type Rule, type Source, topFolder } from './rule.ts';

const FILE_LINES = 250;
const FUNCTION_LINES = 60;
const BANNED_NAMES = ['util', 'utils', 'helper', 'helpers', 'common', 'types', 'services', 'index'];
/** The one file that says which real services tests run on. */
const NAME_EXCEPTIONS = ['test/services.ts', 'test/services.test.ts'];

function checkFileLength({ text, tree }: Source): Finding[] {
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  return tree && lines > FILE_LINES ? [{ line: FILE_LINES + 1, says: `${lines} lines, at most ${FILE_LINES}` }] : [];
}

function lineSpan(node: ts.Node): number {
  const file = node.getSourceFile();
  const last = file.getLineAndCharacterOfPosition(node.getEnd()).line;
  return last - file.getLineAndCharacterOfPosition(node.getStart(file)).line + 1;
}

/** In test/ the callbacks of a suite do not count towards the function around them, which a contract suite is. */
function checkFunctionLength({ path, tree }: Source): Finding[] {
  const inTest = topFolder(path) === 'test';
  const isCallback = (node: ts.Node): node is ts.ArrowFunction | ts.FunctionExpression =>
    (ts.isArrowFunction(node) || ts.isFunctionExpression(node)) && ts.isCallExpression(node.parent);
  const isFunction = (node: ts.Node): node is ts.FunctionLikeDeclaration =>
    ts.isFunctionLike(node) && 'body' in node && node.body !== undefined;
  return nodes(tree, isFunction).flatMap((node) => {
    if (inTest && isCallback(node)) return [];
    const inner = inTest ? nodes(node, isCallback) : [];
    const outermost = inner.filter((one) => !inner.some((other) => other !== one && contains(other, one)));
    const lines = lineSpan(node) - outermost.reduce((sum, one) => sum + lineSpan(one) - 1, 0);
    return lines > FUNCTION_LINES ? [at(node, `function of ${lines} lines, at most ${FUNCTION_LINES}`)] : [];
  });
}

function contains(outer: ts.Node, inner: ts.Node): boolean {
  return outer.pos <= inner.pos && inner.end <= outer.end;
}

function checkNames({ path, tree }: Source): Finding[] {
  if (!tree || NAME_EXCEPTIONS.includes(path) || topFolder(path) === '') return [];
  const parts = path.split('/').map((part) => part.replace(/\..*$/, ''));
  const banned = parts.filter((part) => BANNED_NAMES.includes(part.toLowerCase()));
  const findings = banned.map((part) => ({ line: 1, says: `"${part}" says nothing about what is in it` }));
  const name = path.slice(path.lastIndexOf('/') + 1);
  const sound = path.includes('/migrations/')
    ? /^\d{3}_[a-z][a-z0-9_]*\.ts$/.test(name)
    : /^[a-z][A-Za-z0-9]*(\.test|\.d|\.config)?\.(ts|tsx|mjs|js)$/.test(name) || /^[A-Z]\w*\.tsx$/.test(name);
  return sound ? findings : [...findings, { line: 1, says: 'file names are camelCase' }];
}

function checkConstructs({ tree }: Source): Finding[] {
  return nodes(tree, isNode).flatMap((node) => {
    if (ts.isExportDeclaration(node) && !node.exportClause) return [at(node, 'a barrel hides where things are')];
    if (node.kind === ts.SyntaxKind.AbstractKeyword) return [at(node, 'abstract: pass a function instead')];
    if (ts.isDecorator(node)) return [at(node, 'a decorator hides wiring')];
    if (ts.isEnumDeclaration(node)) return [at(node, 'an enum is not erasable; use a union of strings')];
    return [];
  });
}

const isAny = (node: ts.TypeNode): boolean =>
  node.kind === ts.SyntaxKind.AnyKeyword || (ts.isTypeReferenceNode(node) && node.typeName.getText() === 'any');

function checkShortcuts({ text, tree }: Source): Finding[] {
  const casts = nodes(tree, ts.isAsExpression).flatMap((node) => {
    if (isAny(node.type)) return [at(node, 'a cast to any switches checking off')];
    const inner = ts.isParenthesizedExpression(node.expression) ? node.expression.expression : node.expression;
    const double = ts.isAsExpression(inner) && inner.type.kind === ts.SyntaxKind.UnknownKeyword;
    return double ? [at(node, 'a cast through unknown proves nothing')] : [];
  });
  const words = /(?<!\w)(eslint-disable\S*|@ts-(?:ignore|expect-error|nocheck)|TODO|FIXME|XXX)/;
  const notes = comments(text, tree).flatMap(({ line, says }) => {
    const word = words.exec(says)?.[1];
    return word ? [{ line, says: `${word}: finish it or say it in an issue` }] : [];
  });
  return [...casts, ...notes];
}

/** Found through the tokens, so that a comment's text in a string is none. */
function comments(text: string, tree: ts.SourceFile | null): Finding[] {
  const starts = new Map<number, Finding>();
  if (!tree) return [];
  const visit = (node: ts.Node): void => {
    const ranges = [
      ...(ts.getLeadingCommentRanges(text, node.pos) ?? []),
      // On the line of the token before, a comment is that token's trailing one.
      ...(ts.getTrailingCommentRanges(text, node.pos) ?? []),
    ];
    for (const { pos, end } of ts.isJsxText(node) ? [] : ranges) {
      const line = tree.getLineAndCharacterOfPosition(pos).line + 1;
      starts.set(pos, { line, says: text.slice(pos, end) });
    }
    for (const child of node.getChildren(tree)) visit(child);
  };
  visit(tree);
  return [...starts.values()];
}

const lines = (count: number): string => 'x();\n'.repeat(count);

/** The rules about sizes, names and constructs. */
export const shapeRules: readonly Rule[] = [
  {
    name: `files have at most ${FILE_LINES} lines`,
    check: checkFileLength,
    caught: [{ path: 'test/a.test.ts', text: lines(FILE_LINES + 1) }],
    fine: [{ path: 'domain/a.ts', text: lines(FILE_LINES) }],
  },
  {
    name: `functions have at most ${FUNCTION_LINES} lines`,
    check: checkFunctionLength,
    caught: [
      { path: 'domain/a.ts', text: `function f() {\n${lines(FUNCTION_LINES)}}` },
      { path: 'domain/a.ts', text: `const f = () => {\n${lines(FUNCTION_LINES)}};` },
      { path: 'domain/a.ts', text: `class A { m() {\n${lines(FUNCTION_LINES)}} }` },
      { path: 'domain/a.ts', text: `on(() => {\n${lines(FUNCTION_LINES)}});` },
      { path: 'test/a.test.ts', text: `function f() {\n${lines(FUNCTION_LINES)}}` },
    ],
    fine: [
      { path: 'test/a.test.ts', text: `function suiteOf() { test('a', () => {\n${lines(FUNCTION_LINES)}}); }` },
      { path: 'domain/a.ts', text: `function f() {\n${lines(FUNCTION_LINES - 2)}}` },
    ],
  },
  {
    name: 'folders and files are named after what is in them',
    check: checkNames,
    caught: [
      { path: 'domain/utils/a.ts', text: '' },
      { path: 'api/index.ts', text: '' },
      { path: 'api/services.ts', text: '' },
      { path: 'infra/types.ts', text: '' },
      { path: 'infra/postgres-log.ts', text: '' },
      { path: 'infra/migrations/log.ts', text: '' },
    ],
    fine: [
      { path: 'test/services.ts', text: '' },
      { path: 'infra/migrations/001_log.ts', text: '' },
      { path: 'projections/commonGround.ts', text: '' },
    ],
  },
  {
    name: 'no barrels, abstract classes, decorators or enums',
    check: checkConstructs,
    caught: [
      { path: 'domain/a.ts', text: `export * from './b.ts';` },
      { path: 'domain/a.ts', text: 'export abstract class A {}' },
      { path: 'domain/a.ts', text: '@sealed class A {}' },
      { path: 'domain/a.ts', text: 'enum A { b }' },
    ],
    fine: [{ path: 'domain/a.ts', text: `export { a } from './b.ts';\nconst abstract = 'enum';` }],
  },
  {
    name: 'no switched-off checks and no notes to do later',
    check: checkShortcuts,
    caught: [
      { path: 'domain/a.ts', text: 'const a = b as any;' },
      { path: 'domain/a.ts', text: 'const a = b as unknown as string;' },
      { path: 'domain/a.ts', text: '// eslint-disable-next-line\nx();' },
      { path: 'domain/a.ts', text: 'x(/* @ts-expect-error */ 1);' },
      { path: 'domain/a.ts', text: 'x(); // TODO later' },
    ],
    fine: [{ path: 'domain/a.ts', text: `const a = b as unknown;\nconst text = '// TODO';` }],
  },
];
