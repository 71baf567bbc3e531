/** Docstrings, suites and what must not stand in a published file. */
import ts from 'typescript';
import { at, type Finding, nodes, type Rule, type Source, topFolder } from './rule.ts';

function checkDocstrings({ tree }: Source): Finding[] {
  if (!tree) return [];
  const exported = new Set<string>();
  for (const { exportClause, moduleSpecifier } of nodes(tree, ts.isExportDeclaration)) {
    if (moduleSpecifier || !exportClause || !ts.isNamedExports(exportClause)) continue;
    for (const element of exportClause.elements) exported.add((element.propertyName ?? element.name).text);
  }
  return tree.statements.flatMap((statement) => {
    if (ts.isExportAssignment(statement) && isFunction(statement.expression)) return documented(statement, 'default');
    if (ts.isFunctionDeclaration(statement) && isExported(statement, statement.name?.text, exported))
      return documented(statement, statement.name?.text ?? 'default');
    if (!ts.isVariableStatement(statement)) return [];
    const functions = statement.declarationList.declarations.filter(
      ({ name, initializer }) =>
        initializer && isFunction(initializer) && isExported(statement, name.getText(), exported),
    );
    return functions.flatMap(({ name }) => documented(statement, name.getText()));
  });
}

function isFunction(node: ts.Expression): boolean {
  return ts.isArrowFunction(node) || ts.isFunctionExpression(node);
}

function isExported(statement: ts.Statement, name: string | undefined, later: ReadonlySet<string>): boolean {
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
  if (modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return true;
  return name !== undefined && later.has(name);
}

function documented(statement: ts.Statement, name: string): Finding[] {
  const docs = ts.getJSDocCommentsAndTags(statement).filter(ts.isJSDoc);
  if (docs.some(({ comment, tags }) => comment !== undefined || (tags ?? []).length > 0)) return [];
  return [at(statement, `${name} is exported without a docstring`)];
}

/** The names that stand for a suite: `const test = suite('…')`. */
function suitesIn(tree: ts.SourceFile): ts.VariableDeclaration[] {
  return nodes(tree, ts.isVariableDeclaration).filter(
    ({ initializer }) =>
      initializer && ts.isCallExpression(initializer) && initializer.expression.getText() === 'suite',
  );
}

function calls(tree: ts.SourceFile, method: string): ts.PropertyAccessExpression[] {
  return nodes(tree, ts.isCallExpression)
    .map(({ expression }) => expression)
    .filter(ts.isPropertyAccessExpression)
    .filter(({ name }) => name.text === method);
}

function checkSuites({ path, tree }: Source): Finding[] {
  if (!tree || topFolder(path) !== 'test') return [];
  const run = calls(tree, 'run').map(({ expression }) => expression.getText());
  const findings = suitesIn(tree)
    .filter(({ name }) => !run.includes(name.getText()))
    .map((node) => at(node, `${node.name.getText()}.run() is never called`));
  const contract = nodes(tree, ts.isImportDeclaration).some(({ moduleSpecifier }) =>
    /\/contracts\//.test(moduleSpecifier.getText()),
  );
  if (path.endsWith('.test.ts') && run.length === 0 && !contract) findings.push({ line: 1, says: 'runs no suite' });
  const plain = nodes(tree, ts.isImportDeclaration).filter(
    ({ moduleSpecifier }) => moduleSpecifier.getText() === `'uvu'`,
  );
  if (path === 'test/harness.ts') return findings;
  return [...findings, ...plain.map((node) => at(node, 'plain uvu has no deadlines: use test/harness.ts'))];
}

function checkLeftOut({ path, tree }: Source): Finding[] {
  if (!tree || topFolder(path) !== 'test') return [];
  return ['skip', 'only'].flatMap((word) => calls(tree, word).map((node) => at(node, `.${word}( leaves tests out`)));
}

/** Folders of one machine; images and charts may name folders inside a container. */
const ABSOLUTE = /(?<![\w.*@)}/-])(?:\/(?:root|work|Users|home)\/[\w.-]+|[A-Z]:\\\\?[A-Za-z]\w+)/;
const REGISTRY =
  /https?:\/\/(?:[\w.-]*(?:registry|artifactory|nexus|verdaccio|pypi|proxy\.golang|goproxy)[\w.-]*|[^\s"'/]+\/(?:artifactory|repository|simple|npm))\b/i;

function checkPlaces({ path, text }: Source): Finding[] {
  return text.split('\n').flatMap((line, index) => {
    const place = (topFolder(path) === 'deploy' ? null : ABSOLUTE.exec(line)) ?? REGISTRY.exec(line);
    return place ? [{ line: index + 1, says: `"${place[0]}" is a place of one machine` }] : [];
  });
}

/** Pieced together, because this file is checked too. */
const place = (...parts: string[]): string => ['', ...parts].join('/');

/** The rules about docstrings, suites and published text. */
export const writingRules: readonly Rule[] = [
  {
    name: 'exported functions have docstrings',
    check: checkDocstrings,
    caught: [
      { path: 'domain/a.ts', text: 'export function f() {}' },
      { path: 'domain/a.ts', text: '// not a docstring\nexport const f = () => 1;' },
      { path: 'domain/a.ts', text: 'function f() {}\nexport { f };' },
      { path: 'domain/a.ts', text: 'export default async function () {}' },
      { path: 'domain/a.ts', text: '/** */\nexport function f() {}' },
    ],
    fine: [
      { path: 'domain/a.ts', text: '/** Does it. */\nexport function f() {}\nexport const a = 1;\nfunction g() {}' },
    ],
  },
  {
    name: 'every suite is run, through the harness',
    check: checkSuites,
    caught: [
      { path: 'test/a.test.ts', text: `const test = suite('a'); test('x', f);` },
      { path: 'test/contracts/a.ts', text: `export function f() { const test = suite('a'); test('x', f); }` },
      { path: 'test/a.test.ts', text: 'f();' },
      { path: 'test/a.test.ts', text: `import { suite } from 'uvu'; const test = suite('a'); test.run();` },
    ],
    fine: [
      { path: 'test/a.test.ts', text: `const test = suite('a'); test('x', f); test.run();` },
      { path: 'test/infra/a.test.ts', text: `import { seal } from '../contracts/seal.ts'; seal(make);` },
    ],
  },
  {
    name: 'no test is left out by .skip or .only',
    check: checkLeftOut,
    caught: [
      { path: 'test/a.test.ts', text: `test.skip('x', f);` },
      { path: 'test/contracts/a.ts', text: `test.only('x', f);` },
    ],
    fine: [{ path: 'test/a.test.ts', text: `const text = 'test.only(';` }],
  },
  {
    name: 'no path of one machine and no registry in any file',
    check: checkPlaces,
    caught: [
      { path: 'README.md', text: `cd ${place('root', 'colloquy')}` },
      { path: 'domain/a.ts', text: `read('${place('work', 'main')}')` },
      { path: 'package-lock.json', text: `"resolved": "https:/${place(['registry', 'npmjs.org'].join('.'), 'zod')}"` },
      { path: '.npmrc', text: `registry=http:/${place('10.0.0.1:8080', 'artifactory', 'api')}` },
    ],
    fine: [
      { path: 'README.md', text: 'curl http://localhost:8080/api/v1/work/items; ls ./work/x /tmp/x; see api/root/a' },
      { path: 'deploy/Dockerfile', text: `WORKDIR ${place('home', 'node')}` },
    ],
  },
];
