// The page follows the words, and lets go when the reader scrolls up.
import { check, until } from './check.mjs'
import { Visitor, answer, settled, words } from './visitor.mjs'

export async function scrolling(browser, app, model) {
  const ann = await Visitor.come(browser, app.url, 'Ann', { viewport: { width: 800, height: 500 } })
  const page = ann.page
  await ann.hire('Tolstoy')
  await ann.startThread()
  const long = Array.from({ length: 60 }, (_, at) => `Sentence ${at} of a long and quiet story.\n\n`).join('')
  const place = () => page.evaluate(() => ({ top: scrollY, rest: document.scrollingElement.scrollHeight - innerHeight - scrollY }))
  model.replies.push(long)
  await ann.ask('A long one')
  await words(page, 150)
  check('the page follows the words', (await place()).rest < 100)
  await page.mouse.move(400, 200)
  await page.mouse.wheel(0, -300)
  await until('it has scrolled', async () => (await place()).rest > 100)
  const { top } = await place()
  await words(page, 250)
  check('it lets go when the reader scrolls up', (await place()).top === top)
  await page.getByRole('button', { name: 'Newest' }).click()
  await until('it is at the end', async () => (await place()).rest < 100)
  check('the focus is on the question, and not lost with the button', await page.evaluate(() => document.activeElement.id === 'text'))
  await page.evaluate(() => document.activeElement.blur())
  await page.keyboard.press('ArrowUp')
  await until('it has moved', async () => (await place()).rest > 2)
  let still
  await until('it stands still', async () => { const before = still; still = (await place()).top; return before === still })
  const told = (await answer(page)).length
  await until('more words', async () => (await answer(page)).length > told + 100)
  check('it lets go at one ArrowUp', (await place()).top === still)
  await page.getByRole('button', { name: 'Newest' }).click()
  await settled(page, 'done')
  check('and follows again when it is asked to', (await place()).rest < 120, JSON.stringify(await place()))
  await ann.context.close()
}
