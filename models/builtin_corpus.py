"""The corpus that needs no file and no package: short plain lines in the project's own words.

Few words, used again and again in the same rhythm, so that even a small model learns visibly from them within a
minute. Every line has at most 29 characters: with the 30 steps of the book's graph, each learns its END.
"""

from __future__ import annotations

LINES = """
we build the graph by hand
we build the graph at dawn
we build it node by node
we build it line by line
we name the nodes with care
we name the input and run
we name the sea and the wind
we run the graph once more
we run it and we wait
we run the tape again
we read the loss and wait
we read the loss and smile
we read the tape at night
we read the sky at night
we see the loss go down
we see the sun go down
we see the tide go down
we see the shape of the graph
we see the shape of the hill
we see the light on the sea
we see the light on the bread
we bake the bread at dawn
we bake the bread and wait
we bake it warm and slow
we bake a loaf for the sea
we cut the bread and eat
we cut the line and wait
we cut the loaf in two
we share the bread at noon
we share the work at noon
we share the light and rest
we train the net by night
we train the net by day
we train it step by step
we train it and it learns
we train a small net well
the graph is built by hand
the graph is small and clear
the graph is deep and clear
the graph is like a river
the graph is like a tree
the graph will run at dawn
the graph will grow by night
the graph will keep its shape
the node is named with care
the node will keep its name
the node will wait for you
the node is warm and small
the input waits at the door
the input comes in at dawn
the input flows to the sea
the output flows to the sea
the output comes at night
the output tells the loss
the loss goes down at night
the loss goes down by day
the loss goes down and down
the loss goes up, then down
the loss is high at dawn
the loss is low at night
the loss is like the tide
the loss is like the weather
the tide goes out at dawn
the tide goes out at night
the tide comes in by day
the tide comes in and waits
the tide is low at noon
the tide is high at night
the sea is calm at dawn
the sea is calm at night
the sea is deep and clear
the sea is grey and cold
the sea is grey in winter
the sea is blue in summer
the sea is like a field
the sea will keep its name
the sea will wait for you
the wind is cold at dawn
the wind is cold in winter
the wind is warm in summer
the wind goes round the hill
the wind goes over the sea
the wind goes out to sea
the wind comes in from sea
the wind comes over the hill
the rain comes over the hill
the rain comes in from sea
the rain is cold and slow
the rain is warm in summer
the rain is on the window
the rain goes down to the sea
the river goes to the sea
the river goes round the hill
the river is cold and clear
the river is slow in summer
the snow is on the hill
the snow is deep in winter
the snow is white and slow
the snow goes down in spring
the sun goes over the hill
the sun goes down at night
the sun comes up at dawn
the sun comes over the sea
the sun is low in winter
the sun is high in summer
the sun is warm on the bread
the moon is over the hill
the moon is over the sea
the moon is low and clear
the moon will pull the tide
the stars are cold and clear
the stars are over the sea
the bread is warm at dawn
the bread is warm and brown
the bread is on the table
the bread is made by hand
the bread will rise by night
the bread will rise again
the dough will rise and wait
the dough is soft and warm
the dough is made at night
the flour is white and soft
the flour is on the table
the salt is from the sea
the salt is in the bread
the oven is warm at dawn
the oven is warm by night
the lamp is on the table
the lamp is warm and low
the lamp is lit at night
the light is on the table
the light is on the hill
the light comes in at dawn
the light goes out at night
the boat is on the sea
the boat goes out at dawn
the boat comes in at night
the boat will wait for you
the boat is small and brown
the net is small and deep
the net is in the boat
the net will learn by night
the net will learn the sea
the net will learn its lines
the net is trained by hand
the net can see the shape
the net can see the line
the gradient goes back home
the gradient flows back
the gradient is like rain
the gradient finds the hill
the gradient goes down slow
the weights are small at dawn
the weights will learn to see
the weights move step by step
the weights are warm by night
the tape will run again
the tape will run at night
the tape is read line by line
the step is small and slow
the step is small at night
each step is small and slow
each step is like the rain
each step goes down the hill
each node will keep its name
each node is made by hand
each line is read by hand
each line is short and clear
each loaf is made by hand
each day the tide goes out
each day the sun comes up
each day the loss goes down
each night the lamp is lit
each night the dough rises
each night the net will learn
each winter the sea is grey
each summer the hill is green
each spring the river is high
each autumn the wind is cold
in spring the hill is green
in spring the rain is warm
in spring the river is high
in spring we plant the field
in spring the snow goes down
in summer the sea is blue
in summer the sea is warm
in summer the wind is warm
in summer the river is slow
in summer nights are short
in autumn the field is brown
in autumn the wind is cold
in autumn the rain comes in
in autumn we bring the wheat
in autumn we bake the bread
in winter the sea is grey
in winter the snow is deep
in winter the lamp is lit
in winter the nights are long
in winter the bread is warm
at dawn the sea is calm
at dawn the bread is warm
at dawn we build the graph
at dawn the boat goes out
at dawn the light comes in
at noon we share the bread
at noon the tide is low
at noon the sun is high
at noon we read the loss
at night the loss is low
at night the lamp is lit
at night the net will learn
at night we train the net
at night the dough will rise
at night the sea is calm
at night the boat comes in
by day we build the graph
by day we plant the field
by day the wind is warm
by night we train the net
by night the moon is low
by night the tide comes in
step by step the loss is low
step by step the net can see
step by step we see the shape
step by step the day is long
line by line we read the tape
line by line the net will see
node by node we build it
node by node the graph grows
loaf by loaf we bake bread
day by day the loss is low
day by day the hill is green
day by day the net will learn
wave by wave the tide is out
row by row we plant the field
row by row we read the table
a small graph is clear
a small boat is on the sea
a small lamp is on the table
a small step down the hill
a small loss at the end
a small net can learn to see
a warm loaf is on the table
a warm wind comes from sea
a warm rain is on the hill
a cold wind comes from sea
a cold rain is on the window
a cold moon is over the sea
a deep graph is like the sea
a deep net can learn to wait
a deep snow is on the field
a long line is cut in two
a long night and a low lamp
a long day and a warm loaf
a slow river and a deep sea
a slow tape is still a tape
look how the loss goes down
look how the sun goes down
look how the tide comes in
look how the bread will rise
look how the graph grows
look at the shape of the loss
look at the light on the sea
look at the snow on the hill
come and see the graph run
come and see the sea at dawn
come and see the bread rise
come in from the rain and eat
come in from the cold
wait for the tide to go out
wait for the loss to go down
wait for the bread to rise
wait for the sun to come up
wait for the wind to go round
keep the lamp lit by night
keep the graph small
keep the bread warm for me
keep the boat from the wind
keep the names and the shapes
go down the hill to the sea
go down step by step
go home and bake the bread
go home before the rain
go home when the loss is low
build it small, then run it
build it by day, run by night
name it with care, then run
read it once, then once more
first the flour, then salt
first the input, then loss
first the wind, then the rain
first the dawn, then the day
first we build, then we run
first we run, then we see
then we bake, then we rest
then we read the loss again
then the tide comes in again
then the sun goes down again
then the net can see the sea
when the sun is low, we rest
when the loss is low, we rest
when the tide is low, we walk
when the wind is up, we bake
when the lamp is lit, we read
when bread is warm, we eat
when it is built, we run
what the net learns, it keeps
what the sea takes, it keeps
what we name, we can find
what we build, we can run
where the river goes, we go
where the hill ends, the sea
"""


def read_builtin() -> str:
    """Give the built-in corpus, one sentence to a line."""
    return LINES.strip()
