// Several tabs of one browser: what happens in one is seen in the others, and none keeps another from loading.
import { check, same, until } from './check.mjs'
import { Visitor, answer, settled, words } from './visitor.mjs'

const isConnected = page => page.locator('#conversation').getAttribute('data-connected')
const states = page => page.evaluate(() => [...document.querySelectorAll('.turn')].map(turn => turn.dataset.state).join())

export async function several(browser, app, model) {
  const tim = await Visitor.come(browser, app.url, 'Tim')
  const page = tim.page
  await tim.hire('Tolstoy')
  const thread = await tim.startThread()
  const tab = await tim.tab()
  await tab.goto(thread)
  await until('both are connected', async () => await isConnected(page) && await isConnected(tab))
  model.replies.push('A long story of many, many words. '.repeat(60), 'The third.')
  await tim.ask('A long one')
  await words(page, 5)
  await tim.ask('And a second one')
  await tim.ask('And a third one')
  await until('the other tab sees what waits', async () => await states(tab) === 'typing,queued,queued')
  check('a question that waits is seen in the other tab', true)
  await tab.locator('.turn', { hasText: 'a second one' }).getByRole('button', { name: 'Stop' }).click()
  await until('it is stopped here', async () => await states(tab) === 'typing,stopped,queued')
  await until('it is stopped there', async () => await states(page) === 'typing,stopped,queued')
  check('a question that waits is stopped, and both tabs show it, while the first is being written', true)
  check('the focus stays in its turn', await tab.evaluate(() => document.activeElement.matches('.turn')))
  await page.locator('.turn').first().getByRole('button', { name: 'Stop' }).click()
  await settled(page, 'done')
  same('the next one is answered', 'The third.', await answer(page))
  same('only the newest can be asked for anew', 1, await page.locator('.last-only button:visible').count())
  await tab.close()

  // A headless browser takes each tab for seen: so each is told that it is not.
  const seen = (tab, state) => tab.evaluate(state => {
    Object.defineProperty(document, 'visibilityState', { value: state, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))
  }, state)
  const tabs = []
  for (let count = 0; count < 8; count++) {
    const one = await tim.tab()
    await one.goto(thread)
    await until(`tab ${count + 1} is connected`, () => isConnected(one))
    if (count < 7) await seen(one, 'hidden')
    tabs.push(one)
  }
  check('eight tabs load, as those that are hidden give their connection back', true)
  await until('the first is not connected', async () => !await isConnected(tabs[0]))
  model.replies.push('Told meanwhile.')
  await tabs[7].getByLabel('Your question').fill('A last one')
  await tabs[7].keyboard.press('Enter')
  await settled(tabs[7], 'done')
  check('a hidden tab is told nothing', await answer(tabs[0]) === 'The third.')
  await seen(tabs[0], 'visible')
  await until('the first has caught up', async () => await answer(tabs[0]) === 'Told meanwhile.')
  check('it catches up when it is looked at', true)
  check('no page complained', tim.complaints.length === 0, tim.complaints.join('\n'))
  await tim.context.close()
}

// More turns than a page has, while the server goes and comes back.
export async function long(browser, app, model) {
  const len = await Visitor.come(browser, app.url, 'Len')
  const page = len.page
  await len.hire('Tolstoy')
  const thread = await len.startThread()
  const count = () => page.locator('.turn').count()
  const [csrf, teller] = await page.evaluate(() => ['csrf', 'teller'].map(name => document.querySelector(`#ask [name=${name}]`).value))
  const most = 33
  for (let at = 1; at <= most; at++) {
    model.replies.push(`Answer ${at}.`)
    await page.request.post(`${thread}/messages`, { multipart: { csrf, text: `Question ${at}`, teller } })
  }
  await until('all are answered', async () => await page.locator('[data-state="done"]').count() === most)
  await app.kill()
  await until('the page has noticed', async () => !await isConnected(page))
  await until('it is said', async () => /connection is lost/.test(await page.locator('#note').textContent()))
  check('that the server cannot be reached is said', await page.locator('#note').isVisible())
  await app.start()
  await until('the page is back', () => isConnected(page))
  check('and not any more when it is back', !await page.locator('#note').isVisible())
  same('a long page keeps its turns over a restart', most, await count())
  check('and leads to no earlier ones', !await page.locator('#earlier').isVisible())
  await page.reload()
  same('a page has thirty turns', 30, await count())
  await page.setViewportSize({ width: 800, height: 400 })
  await page.locator('#earlier a').click()
  await page.waitForURL(/older=/)
  check('an older page opens at its end', await page.locator('#end').evaluate(end => scrollY > 0 && end.getBoundingClientRect().bottom <= innerHeight))
  same('the earlier ones are on the next', most - 30, await count())
  same('on which nothing can be asked for anew', 0, await page.locator('.last-only button:visible').count())
  await len.context.close()
}
