// A person with a browser of their own.
import { check, until } from './check.mjs'

export class Visitor {
  static async come(browser, url, name, options = {}) {
    const visitor = new Visitor()
    visitor.context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 800 }, ...options })
    visitor.page = await visitor.tab()
    if (name) await visitor.signIn(name)
    return visitor
  }

  // Whatever a page complains of is noted.
  async tab() {
    const page = await this.context.newPage()
    this.complaints ??= []
    page.on('pageerror', error => this.complaints.push(String(error)))
    page.on('console', message => {
      if (/Content Security Policy/.test(message.text())) this.complaints.push(message.text())
    })
    await page.addInitScript(() => {
      window.violations = []
      document.addEventListener('securitypolicyviolation', event => window.violations.push(event.violatedDirective))
    })
    return page
  }

  async signIn(name) {
    await this.page.goto('/sign-in')
    await this.page.getByLabel('Your name').fill(name)
    await this.page.getByRole('button', { name: 'Sign in' }).click()
    await this.page.waitForURL('**/threads')
  }

  async hire(name, fields = {}) {
    await this.page.goto('/storytellers/new')
    await this.page.getByLabel('Name', { exact: true }).fill(name)
    for (const [label, value] of Object.entries(fields)) await this.page.getByLabel(label).fill(value)
    await this.page.getByRole('button', { name: 'Save' }).click()
    await this.page.waitForURL(/storytellers\/\d+$/)
  }

  async startThread() {
    await this.page.goto('/threads')
    await this.page.getByRole('button', { name: 'New thread' }).click()
    await this.page.waitForURL(/threads\/\d+$/)
    return this.page.url()
  }

  async ask(text) {
    await this.page.getByLabel('Your question').fill(text)
    await this.page.keyboard.press('Enter')
    // While a question is on its way the form takes no other.
    await this.page.locator('#ask:not([data-sending])').waitFor()
  }
}

// The text of the newest answer.
export const answer = page => page.evaluate(() => [...document.querySelectorAll('.message.assistant .text')].at(-1)?.innerText.trim() ?? '')
export const state = page => page.evaluate(() => document.querySelector('.turn:last-child')?.dataset.state ?? '')
export const settled = (page, wanted) => until(`the newest turn is ${wanted}`, async () => (await state(page)) === wanted)
export const words = (page, count) => until(`${count} words`, async () => {
  const text = await answer(page)
  return text.split(/\s+/).filter(Boolean).length >= count && text
})

// What a page shows is what it shows after a reload.
export async function isStored(what, page) {
  const before = await answer(page)
  await page.reload()
  const after = await answer(page)
  check(`${what}: a reload shows the same`, before === after && before.length > 0, `${before}\n---\n${after}`)
  return after
}
